"""Compare nodes as replicas of Ray Serve with placed ones: `python -m benchmarks.fleet.ray_serve`.

Needs `ray[serve]` in the environment. Each form has a Ray cluster of a head and a machine, all on
this machine, with nodes that repeat the question, so that no model takes part. Placed nodes are
requested directly, as a front does it; replicas through the HTTP proxy of Ray Serve.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from benchmarks.fleet import ray_machines
from benchmarks.gateway.gateways import ROOT, free_port
from benchmarks.gateway.load import load
from tenuto.cluster import node_process

_ROUNDS: Final = 3
_WORDS: Final = 256
_REQUESTS: Final = 400
_CONNECTIONS: Final = 8
_IDLE_S: Final = 5.0
_PATIENCE_S: Final = 180.0
# Others than those of real nodes on this machine.
_PORTS: Final = (18_100, 18_199)
_STATE: Final = "XDG_STATE_HOME"


class _Form(Protocol):
    """A way to run nodes on a Ray cluster."""

    @abstractmethod
    def start(self) -> None:
        """Start the first node."""

    @abstractmethod
    def add(self) -> None:
        """Start a second node, and wait until it serves."""

    @abstractmethod
    def remove(self) -> None:
        """End the second node."""

    @abstractmethod
    def place(self) -> tuple[str, int]:
        """Return host and port for requests."""

    @abstractmethod
    def process(self) -> int:
        """Return the number of the process of the first node."""

    @abstractmethod
    def work(self) -> None:
        """Do the work of the form between two looks."""

    @abstractmethod
    def close(self) -> None:
        """Leave the cluster."""


class _Placed(_Form):
    """Nodes that keepers start on machines, as `tenuto cluster up` does it."""

    def __init__(self, address: str, folder: Path) -> None:
        from tenuto.cluster.controller import Controller
        from tenuto.cluster.plan import ClusterFolder
        from tenuto.cluster.ray_placement import RayPlacement

        self._folder = folder
        self._files = ClusterFolder(folder / "cluster")
        self._placement = RayPlacement("bench", address)
        self._controller = Controller(self._files, self._placement, time.monotonic, lambda _: None)
        self._nodes = 1

    def start(self) -> None:
        _until(self._settled)

    def add(self) -> None:
        self._nodes = 2
        _until(self._settled)

    def remove(self) -> None:
        self._nodes = 1
        _until(self._settled)

    def place(self) -> tuple[str, int]:
        url = urlsplit(self._files.nodes.read_text().split()[0])
        return str(url.hostname), int(url.port or 0)

    def process(self) -> int:
        found = map(node_process.adopted, (self._folder / "state").glob("tenuto/nodes/*/*"))
        (node,) = (each for each in found if each)
        return node.pid

    def work(self) -> None:
        self._settled()

    def close(self) -> None:
        self._placement.close()

    def _settled(self) -> bool:
        from tenuto.cluster.plan import Plan

        arguments = ("--insecure", "--config", str(self._folder / "node.toml"))
        plan = Plan(self._nodes, self._nodes, arguments=arguments, ports=_PORTS)
        return self._controller.step(plan)


class _Replicas(_Form):
    """Nodes as replicas of Ray Serve, each with the ASGI application in its process."""

    def __init__(self, address: str, folder: Path) -> None:
        import ray  # pyright: ignore[reportMissingImports]
        from ray import serve  # pyright: ignore[reportMissingImports]

        self._serve: Any = serve
        self._folder, self._port, self._ray = folder, free_port(), ray
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        serve.start(
            proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": self._port}
        )
        deployment: Any = serve.ingress(_application)(type("Node", (), {}))
        self._deployment: Any = serve.deployment(
            deployment, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 1}
        )

    def start(self) -> None:
        self._run(1)

    def add(self) -> None:
        self._run(2)

    def remove(self) -> None:
        self._run(1)
        _until(lambda: len(self._processes()) == 1)

    def place(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def process(self) -> int:
        (found,) = self._processes()
        return found

    def work(self) -> None:
        time.sleep(0.1)

    def close(self) -> None:
        self._serve.shutdown()
        self._ray.shutdown()

    def _run(self, replicas: int) -> None:
        self._serve.run(self._deployment.options(num_replicas=replicas).bind(), route_prefix="/")

    def _processes(self) -> list[int]:
        return ray_machines.processes(_STATE, os.environ[_STATE], "ServeReplica")


def _application() -> Any:
    """Return the application of a node."""
    from tenuto.server.app import create_app
    from tenuto.service import open_engine
    from tenuto.settings.loader import load as load_settings

    settings = load_settings(Path(os.environ["NODE_SETTINGS"]))
    return create_app(settings, open_engine(settings, lambda *_: None))  # type: ignore[arg-type]


def _until(holds: Callable[[], bool]) -> None:
    latest = time.monotonic() + _PATIENCE_S
    while not holds():
        if time.monotonic() > latest:
            raise SystemExit("nothing has changed for three minutes")
        time.sleep(0.1)


def _request(words: int) -> bytes:
    """Return a streamed request, head and body."""
    prompt = f"\n\nHuman: {'word ' * words}\n\nAssistant:"
    fields = {"model": "any", "prompt": prompt, "max_tokens_to_sample": 1000, "stream": True}
    body = json.dumps(fields).encode()
    return (
        b"POST /v1/complete HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"anthropic-version: 2023-06-01\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


def _serves(place: tuple[str, int]) -> bool:
    """Return whether a request is answered now."""
    host, port = place
    with contextlib.suppress(OSError, AssertionError, TimeoutError):
        one = load(port, _request(1), connections=1, requests=1, host=host)
        asyncio.run(asyncio.wait_for(one, 2))
        return True
    return False


def _cpu_s() -> float:
    """Return the processor time of all processes of the cluster and its nodes, in seconds."""
    total = 0
    for pid in ray_machines.processes(_STATE, os.environ[_STATE]):
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(thread.read_text().split()[0])
    return total * 1e-9


def _memory_mib() -> float:
    """Return the memory of those processes, pages of several shared among them, in MiB."""
    total = 0
    for pid in ray_machines.processes(_STATE, os.environ[_STATE]):
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(each.split()[1]) for each in lines if each.startswith("Pss:"))
    return total / 1024


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cost(place: tuple[str, int], words: int) -> tuple[float, float]:
    """Return processor time and median latency of a request, in seconds."""
    host, port = place
    begun, began = _cpu_s(), time.perf_counter()
    time.sleep(_IDLE_S)
    idle = (_cpu_s() - begun) / (time.perf_counter() - began)
    begun = _cpu_s()
    runs = {"connections": _CONNECTIONS, "requests": _REQUESTS}
    result = asyncio.run(load(port, _request(words), host=host, **runs))
    cpu_s = _cpu_s() - begun - idle * result.seconds
    return cpu_s / _REQUESTS, statistics.median(result.latencies)


def _replacement_s(form: _Form) -> float:
    """Return the time from the end of the node's process to the next answer, in seconds."""
    pid = form.process()

    def work() -> None:
        os.kill(pid, signal.SIGKILL)
        _until(lambda: node_process.began(pid) is None)
        form.work()
        while not _serves(form.place()):
            form.work()

    return _seconds(work)


def measure(form: _Form) -> dict[str, float]:
    """Return the figures of a form, with their units in the names."""
    figures = {"start of the first node, s": _seconds(form.start)}
    while not _serves(form.place()):
        form.work()
    figures["start of a second node, s"] = _seconds(form.add)
    figures["memory with two nodes, MiB"] = _memory_mib()
    form.remove()
    short, _ = _cost(form.place(), 1)
    long, latency = _cost(form.place(), _WORDS)
    figures["CPU of a short request, ms"] = 1e3 * short
    figures["CPU of each token, µs"] = 1e6 * (long - short) / (_WORDS - 1)
    figures[f"median latency of {_WORDS} tokens, ms"] = 1e3 * latency
    figures["replacement of a node after SIGKILL, s"] = _replacement_s(form)
    return figures


_FORMS: Final[dict[str, Callable[[str, Path], _Form]]] = {
    "placed nodes": _Placed,
    "Ray Serve": _Replicas,
}


def _round(kind: Callable[[str, Path], _Form]) -> dict[str, float]:
    """Return the figures of a form on a new cluster."""
    with ray_machines.folder_of_sessions() as sessions, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "node.toml").write_text(
            '[engine]\nname = "echo"\n[ledger]\nenabled = false\n'
            f'[store]\nurl = "sqlite:///{folder}/none.db"\n'
        )
        os.environ |= ray_machines.settings(sessions, folder / "state")
        os.environ |= {"NODE_SETTINGS": str(folder / "node.toml"), "PYTHONPATH": str(ROOT / "src")}
        cluster = ray_machines.start(1)
        try:
            form = kind(cluster.address, folder)
            try:
                return measure(form)
            finally:
                form.close()
        finally:
            cluster.shutdown()
            ray_machines.end_processes(_STATE, os.environ[_STATE])


def main() -> None:
    """Measure both forms in turns, and print a table of medians and ranges."""
    parser = argparse.ArgumentParser(description="Compare Ray Serve with placed nodes.")
    parser.add_argument("--rounds", type=int, default=_ROUNDS, help=f"default {_ROUNDS}")
    parser.add_argument("--only", choices=sorted(_FORMS), help="one round of one form, as JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(_round(_FORMS[options.only])))
        return
    found: dict[str, dict[str, list[float]]] = {}
    for number in range(options.rounds):
        for form in _FORMS:
            print(f"round {number + 1}: {form}", file=sys.stderr)
            # In a process of its own, because Ray keeps the token of a cluster for each process.
            command = [sys.executable, "-m", "benchmarks.fleet.ray_serve", "--only", form]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout
            for figure, value in json.loads(output.splitlines()[-1]).items():
                found.setdefault(figure, {}).setdefault(form, []).append(value)
    print(f"| | {' | '.join(_FORMS)} |")
    print("|---|---|---|")
    for figure, forms in found.items():
        print(f"| {figure} | {' | '.join(map(_text, forms.values()))} |")


def _text(values: list[float]) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


if __name__ == "__main__":
    main()
