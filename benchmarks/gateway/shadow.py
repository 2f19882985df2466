"""Measure the CPU time and the latency that copies of requests add.

    python -m benchmarks.gateway.shadow [--servers N] [--rounds N] [--stream] [--differ]

A server gets short rounds of the same requests in three modes in turns (`benchmarks.gateway.
calling`): without copies, with one more call of the upstream for each request and nothing else, and
with a copy of every request. The second less the first is the copy's own upstream call, the third
less the second what the copies add besides: the drawing, the answers' texts, the comparison and the
line in the file. One process has all modes, and several processes follow each other, because two of
one program differ by more than rounds do. Of the answers, equal ones cost least to compare; with
`--differ` each is another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.gateway.calling import CALLS, COPIES, OFF
from benchmarks.gateway.gateways import (
    ROOT,
    Gateway,
    cpu_s,
    free_port,
    started,
    tenuto_command,
    until_open,
)
from benchmarks.gateway.load import load, request_to

SERVERS = 8
ROUNDS = 9
_REQUESTS = 300
_CONNECTIONS = 4
_ALONE = 40
_PAUSE_S = 0.02
# For the last copies, and the thread that compares twice a second.
_SETTLED_S = 0.8

_SHADOW = """
[engine.shadow]
to = "claude"
file = "{folder}/comparison-{port}.jsonl"
share = 1.0
max_concurrent = 64
max_tokens_a_day = 1000000000000
max_file_mib = 4096
"""


def shadow_command(folder: str, port: int, upstream: int) -> list[str]:
    """Return the command of a server that copies every request."""
    command = tenuto_command(folder, port, upstream)
    settings = Path(folder) / f"shadow-{port}.toml"
    text = Path(command[-1]).read_text(encoding="utf-8")
    settings.write_text(text + _SHADOW.format(folder=folder, port=port), encoding="utf-8")
    return [*command[:-1], str(settings)]


class _Round(NamedTuple):
    """The figures of three modes in turns."""

    base_us: float
    call_us: float
    extra_us: float
    later_ms: float


async def _round(gateway: Gateway, *, stream: bool, differing: bool) -> tuple[float, float]:
    """Return the CPU time of a request in µs, and the median latency in ms without other load."""
    request = request_to(
        "/v1/complete", stream=stream, paced=False, headers=gateway.headers, differing=differing
    )
    begun = cpu_s(gateway)
    await load(gateway.port, request, connections=_CONNECTIONS, requests=_REQUESTS)
    await asyncio.sleep(_SETTLED_S)
    cpu_us = (cpu_s(gateway) - begun) / _REQUESTS * 1e6
    latencies = []
    for _ in range(_ALONE):
        result = await load(gateway.port, request, connections=1, requests=1)
        latencies += result.latencies
        # The copy of the request ends meanwhile, as between requests of people.
        await asyncio.sleep(_PAUSE_S)
    return cpu_us, statistics.median(latencies) * 1000


async def _server(rounds: int, *, stream: bool, differing: bool) -> list[_Round]:
    """Return the rounds of one server, after one that only warms up."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as exits:
        upstream, port = free_port(), free_port()
        serve = [sys.executable, "-m", "benchmarks.gateway.upstream", str(upstream)]
        exits.enter_context(started(serve, {1}, Path(folder) / "server"))
        arguments = shadow_command(folder, port, upstream)[3:]
        command = [sys.executable, "-m", "benchmarks.gateway.calling", *arguments]
        errors = Path(folder) / "copies"
        process = exits.enter_context(started(command, {0}, errors, PYTHONPATH=str(ROOT)))
        headers = "x-api-key: sk-benchmark\r\n"
        gateway = Gateway("copies", "/v1/complete", port, process, headers, 1.0, errors)
        await until_open(gateway)
        found = []
        for _ in range(rounds + 1):
            figures = {}
            for mode in random.sample([OFF, CALLS, COPIES], 3):
                process.send_signal(mode)
                figures[mode] = await _round(gateway, stream=stream, differing=differing)
            base, call, copied = (figures[mode][0] for mode in (OFF, CALLS, COPIES))
            later = figures[COPIES][1] - figures[OFF][1]
            found.append(_Round(base, call - base, copied - call, later))
        lines = sum(1 for _ in (Path(folder) / f"comparison-{port}.jsonl").open())
    expected = (rounds + 1) * (_REQUESTS + _ALONE)
    if lines < expected * 0.99:
        print(f"only {lines} of {expected} comparisons", file=sys.stderr)
    return found[1:]


def _mean(values: list[float]) -> str:
    """Return the mean of servers, and its standard error."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.2f} ± {error:.2f}"


async def _run(servers: int, rounds: int, *, stream: bool, differing: bool) -> None:
    os.sched_setaffinity(0, {1})
    found: list[list[_Round]] = []
    for number in range(servers):
        print(f"server {number + 1} of {servers}", end="\r", file=sys.stderr)
        found.append(await _server(rounds, stream=stream, differing=differing))

    def medians(name: str) -> list[float]:
        return [statistics.median(getattr(each, name) for each in one) for one in found]

    base = medians("base_us")
    share = [100 * extra / each for extra, each in zip(medians("extra_us"), base, strict=True)]
    print(
        f"{'streamed' if stream else 'plain'}, {'differing' if differing else 'equal'} answers, "
        f"{servers} servers, {rounds} rounds each, mean of medians ± standard error:\n"
        f"  CPU of a request      {_mean(base)} µs\n"
        f"  an upstream call      {_mean(medians('call_us'))} µs\n"
        f"  copies add besides    {_mean(medians('extra_us'))} µs, {_mean(share)} %\n"
        f"  latency of a request  {_mean(medians('later_ms'))} ms more"
    )


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description="Measure what copies of requests add.")
    parser.add_argument("--servers", type=int, default=SERVERS, help=f"(default {SERVERS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each (default {ROUNDS})")
    parser.add_argument("--stream", action="store_true", help="streams instead of plain answers")
    parser.add_argument("--differ", action="store_true", help="answers of different words")
    arguments = parser.parse_args()
    uvloop.run(
        _run(
            *(arguments.servers, arguments.rounds),
            stream=arguments.stream,
            differing=arguments.differ,
        )
    )


if __name__ == "__main__":
    main()
