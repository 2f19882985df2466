"""Measure the cost of a gateway.

    python -m benchmarks.gateway [--requests N] [--soak N]

One scripted server answers at once. In front of it, in turns: nothing, nginx (where it is
installed), the least that a Python gateway can do (`bare.py`), Tenuto (`messages` route, with a key
of the settings), Tenuto with operations (a key of a store with each kind of limit and budget,
prices, the ledger and metrics), and LiteLLM where LITELLM names its program. Each runs on one core,
load and server on another. The main figure is CPU time of the gateway's processes, user and system.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.gateway.load import Result, load, request_to
from benchmarks.gateway.upstream import EVENTS

ROUNDS = 3
CONNECTIONS = 16
STREAMS = 32
# LiteLLM imports for half a minute on an idle core.
_PATIENCE_S = 300.0
_REPORT_S = 10.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_ROOT = Path(__file__).parents[2]
_OPERATIONS = "with operations"


@dataclass
class Gateway:
    """One of those that are compared.

    Attributes:
        name: As the table has it.
        path: The route that is asked.
        headers: Lines of a request's head.
        port: Where it listens.
        process: The first of its processes; None for the server itself.
        figures: What was measured, by column, one entry for each round.
        weight: The share of the requests that it is sent.
        errors: What its process writes to standard error.
    """

    name: str
    path: str
    port: int
    process: subprocess.Popen[bytes] | None
    headers: str = ""
    weight: float = 1.0
    errors: Path = Path(os.devnull)
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, column: str, value: float) -> None:
        self.figures.setdefault(column, []).append(value)

    def median(self, column: str) -> float | None:
        values = self.figures.get(column)
        return statistics.median(values) if values else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _processes(first: int) -> list[int]:
    """A process and all below it."""
    found = [first]
    for pid in found:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found += [int(child) for child in children]
    return found


def _cpu_s(gateway: Gateway) -> float:
    if gateway.process is None:
        return 0.0
    total = 0
    for pid in _processes(gateway.process.pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total * _TICK_S


def _memory_mib(gateway: Gateway) -> float:
    if gateway.process is None:
        return 0.0
    pages = [
        int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        for pid in _processes(gateway.process.pid)
    ]
    return sum(pages) * _PAGE_MIB


@contextmanager
def _running(
    command: list[str], core: int, errors: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    with errors.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=_ROOT,
            env=os.environ | environment,
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    os.sched_setaffinity(process.pid, {core})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


async def _until_open(gateway: Gateway, patience_s: float = _PATIENCE_S) -> None:
    """Wait until a gateway forwards a request.

    Raises:
        SystemExit: Its process ended, or it does not answer.
    """
    request = request_to(gateway.path, stream=False, paced=False, headers=gateway.headers)
    started = time.monotonic()
    reported = 0.0
    while True:
        try:
            await asyncio.wait_for(load(gateway.port, request, connections=1, requests=1), 10)
            return
        except (OSError, AssertionError, TimeoutError) as error:
            waited = time.monotonic() - started
            if gateway.process is not None and gateway.process.poll() is not None:
                lines = gateway.errors.read_text(errors="replace").splitlines()
                last = next((line for line in reversed(lines) if line.strip()), "it says nothing")
                raise SystemExit(f"{gateway.name} ended: {last.strip()}") from None
            if waited > patience_s:
                raise SystemExit(f"{gateway.name} does not answer: {error}") from None
            if waited > reported + _REPORT_S:
                reported = waited
                print(f"waiting for {gateway.name}, {waited:.0f} s", file=sys.stderr)
            await asyncio.sleep(0.2)


async def _round(gateway: Gateway, requests: int) -> None:
    requests = max(64, int(requests * gateway.weight))

    async def measured(
        connections: int, count: int, *, stream: bool, paced: bool
    ) -> tuple[float, Result]:
        request = request_to(gateway.path, stream=stream, paced=paced, headers=gateway.headers)
        await load(gateway.port, request, connections=connections, requests=connections)
        before = _cpu_s(gateway)
        result = await load(gateway.port, request, connections=connections, requests=count)
        return _cpu_s(gateway) - before, result

    _, result = await measured(1, max(50, requests // 10), stream=False, paced=False)
    gateway.note("latency ms", statistics.median(result.latencies) * 1e3)
    cpu, result = await measured(CONNECTIONS, requests, stream=False, paced=False)
    gateway.note("CPU ms", cpu / requests * 1e3)
    gateway.note("req/s", requests / result.seconds)
    streams = max(STREAMS, requests // 20)
    cpu, _ = await measured(CONNECTIONS, streams, stream=True, paced=False)
    gateway.note("burst µs", cpu / (streams * EVENTS) * 1e6)
    cpu, _ = await measured(STREAMS, STREAMS * 2, stream=True, paced=True)
    gateway.note("paced µs", cpu / (STREAMS * 2 * EVENTS) * 1e6)


def _nginx(folder: str, port: int, upstream: int) -> list[str]:
    config = Path(folder) / "nginx.conf"
    config.write_text(
        f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream server {{ server 127.0.0.1:{upstream}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port}; keepalive_requests 10000000;
    location / {{
      proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""
    )
    return ["nginx", "-c", str(config), "-e", "/dev/null"]


def _tenuto(folder: str, port: int, upstream: int) -> list[str]:
    settings = Path(folder) / "tenuto.toml"
    settings.write_text(
        f"""
[server]
port = {port}
api_keys = ["sha256:{_KEY_HASH}"]
[engine]
name = "routes"
[engine.upstreams.claude]
kind = "messages"
base_url = "http://127.0.0.1:{upstream}"
[ledger]
enabled = false
[metrics]
enabled = false
[store]
url = "sqlite:///{folder}/none.db"
"""
    )
    return [sys.executable, "-m", "tenuto", "serve", "--config", str(settings)]


# All kinds, and none that the benchmark reaches.
_TERMS = (
    *("--requests-per-minute", "100M", "--input-tokens-per-minute", "100G"),
    *("--output-tokens-per-minute", "100G", "--concurrent", "1000"),
    *("--budget-tokens", "1000G/month", "--budget-cost", "1G/month"),
)


def _with_operations(folder: str, port: int, upstream: int) -> tuple[list[str], str]:
    """Return the command, and the key."""
    settings = Path(folder) / "operations.toml"
    settings.write_text(
        f"""
[server]
port = {port}
[engine]
name = "routes"
[engine.upstreams.claude]
kind = "messages"
base_url = "http://127.0.0.1:{upstream}"
[store]
url = "sqlite:///{folder}/store.db"
[prices."claude-*"]
input = 1
output = 5
"""
    )
    tenuto, config = [sys.executable, "-m", "tenuto"], ["--config", str(settings)]
    create = [*tenuto, "keys", "create", "benchmark", *_TERMS, "--json", *config]
    made = subprocess.run(create, cwd=_ROOT, stdout=subprocess.PIPE, check=True)
    key: str = json.loads(made.stdout)["key"]
    return [*tenuto, "serve", *config], key


# Of "sk-benchmark": that keys are checked belongs to what is measured.
_KEY_HASH = "8763e3837f14d1fb4fff375dbc942be8181e3b3cdfd93eca28612a747af7c0bb"


def _litellm(folder: str, port: int, program: str) -> list[str]:
    config = Path(folder) / "litellm.yaml"
    config.write_text("general_settings:\n  master_key: sk-benchmark\n")
    return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def _gateways(folder: str) -> Iterator[list[Gateway]]:
    """Everything that is compared, started and listening."""
    servers = [_free_port() for _ in range(6)]
    upstream, nginx, bare, tenuto, operations, litellm = servers
    url = f"http://127.0.0.1:{upstream}"
    key = "x-api-key: sk-benchmark\r\n"
    with_operations, own_key = _with_operations(folder, operations, upstream)
    serve = [sys.executable, "-m", "benchmarks.gateway.upstream", str(upstream)]
    with _running(serve, 1, Path(folder) / "server"):
        gateways = [Gateway("the server itself", "/v1/messages", upstream, None)]
        running = [
            (
                shutil.which("nginx"),
                "nginx",
                "/v1/messages",
                nginx,
                _nginx(folder, nginx, upstream),
            ),
            (
                *("yes", "bare translator", "/v1/complete", bare),
                [
                    *(sys.executable, "-m", "uvicorn", "--port", str(bare), "--no-access-log"),
                    *("--log-level", "error", "benchmarks.gateway.bare:app"),
                ],
            ),
            ("yes", "Tenuto", "/v1/complete", tenuto, _tenuto(folder, tenuto, upstream)),
            ("yes", _OPERATIONS, "/v1/complete", operations, with_operations),
            (
                *(os.environ.get("LITELLM"), "LiteLLM", "/anthropic/v1/messages", litellm),
                _litellm(folder, litellm, os.environ.get("LITELLM", "")),
            ),
        ]
        contexts = []
        try:
            for enabled, name, path, port, command in running:
                if not enabled:
                    print(f"{name}: not installed, left out")
                    continue
                context = _running(
                    command,
                    0,
                    errors := Path(folder) / f"{name}.txt",
                    UPSTREAM=url,
                    ANTHROPIC_API_BASE=url,
                    ANTHROPIC_API_KEY="none",
                    PYTHONPATH=str(_ROOT),
                )
                process = context.__enter__()
                contexts.append(context)
                weight = 0.02 if name == "LiteLLM" else 1.0
                headers = f"x-api-key: {own_key}\r\n" if name == _OPERATIONS else key
                gateways.append(Gateway(name, path, port, process, headers, weight, errors))
            yield gateways
        finally:
            for context in contexts:
                context.__exit__(None, None, None)


_COLUMNS = ("latency ms", "CPU ms", "req/s", "burst µs", "paced µs", "MiB", "MiB after")


async def _run(requests: int, soak: int) -> None:
    os.sched_setaffinity(0, {1})
    with tempfile.TemporaryDirectory() as folder, _gateways(folder) as gateways:
        for gateway in gateways:
            await _until_open(gateway)
        # After all have started, as a start takes the core from the others.
        for gateway in gateways:
            gateway.note("MiB", _memory_mib(gateway))
        for number in range(ROUNDS):
            for gateway in gateways:
                print(f"round {number + 1} of {ROUNDS}: {gateway.name}", file=sys.stderr)
                await _round(gateway, requests)
        (tenuto,) = [gateway for gateway in gateways if gateway.name == "Tenuto"]
        print(f"{soak} requests to Tenuto", file=sys.stderr)
        request = request_to(tenuto.path, stream=False, paced=False, headers=tenuto.headers)
        await load(tenuto.port, request, connections=CONNECTIONS, requests=soak)
        for gateway in gateways:
            gateway.note("MiB after", _memory_mib(gateway))
        _print(gateways)


def _print(gateways: list[Gateway]) -> None:
    print(f"{'median of ' + str(ROUNDS) + ' rounds':<20}", *(f"{c:>11}" for c in _COLUMNS))
    for gateway in gateways:
        values = [gateway.median(column) for column in _COLUMNS]
        print(
            f"{gateway.name:<20}",
            *(f"{'':>11}" if value is None else f"{value:>11.4g}" for value in values),
        )
    by_name = {gateway.name: gateway for gateway in gateways}
    tenuto = by_name["Tenuto"]
    for name, peer in by_name.items():
        ratio = (tenuto.median("req/s") or 0) / (peer.median("req/s") or 1)
        if name == _OPERATIONS:
            more = (peer.median("CPU ms") or 0) - (tenuto.median("CPU ms") or 0)
            print(f"keys, limits, ledger and metrics together add {1000 * more:.0f} µs CPU")
        elif peer is not tenuto:
            print(f"Tenuto's requests a second are {ratio:.3g} times those of {name}")
    added = (tenuto.median("latency ms") or 0) - (gateways[0].median("latency ms") or 0)
    print(f"added median latency at one connection: {added:.2f} ms")


def main() -> None:
    """Run all measurements, and print a table."""
    parser = argparse.ArgumentParser(description="Measure the cost of a gateway.")
    parser.add_argument("--requests", type=int, default=20_000, help="a round (default 20,000)")
    parser.add_argument("--soak", type=int, default=100_000, help="at the end (default 100,000)")
    arguments = parser.parse_args()
    uvloop.run(_run(arguments.requests, arguments.soak))


if __name__ == "__main__":
    main()
