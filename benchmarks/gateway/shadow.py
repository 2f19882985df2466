"""Measure the CPU time and the latency that copies of requests add.

    python -m benchmarks.gateway.shadow [--servers N] [--rounds N] [--stream] [--differ]

A server gets short rounds of the same requests in four modes in turns (`benchmarks.gateway.
calling`): without copies; with one more call of the upstream for each request, at once, and nothing
else; with these calls in groups, as copies begin; and with a copy of every request. The copies less
the calls are what a copy adds besides its own upstream call: the drawing, the answers' texts, the
comparison and the line in the file. One process has all modes, because two of one program differ by
more than rounds do. Three servers take twenty minutes. Of the answers, equal ones cost least to
compare; with `--differ` each is another.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.gateway.calling import CALLS, COPIES, GROUPS, OFF
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

SERVERS = 3
ROUNDS = 40
_REQUESTS = 200
_CONNECTIONS = 4
_ALONE = 12
_MODES = (OFF, CALLS, GROUPS, COPIES)
# Other work on the machine makes rounds longer, by half and more on a shared one, never shorter:
# the tenth of them that took least says what the program costs.
_LOW = 10
_SAMPLES = 300
_PAUSE_S = 0.02
# At random times: the server is idle for nine tenths of the time, as one with some load is.
_SPACED = 100
_MEAN_GAP_S = 0.005
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


class _Figures(NamedTuple):
    """The figures of one mode in a round.

    Attributes:
        cpu_us: CPU time of a request in µs.
        alone_ms: Median latency in ms of requests without others beside them.
        spaced_ms: The same of requests at random times.
        late_ms: Their 90th percentile.
    """

    cpu_us: float
    alone_ms: float
    spaced_ms: float
    late_ms: float


_Rounds = dict[int, list[_Figures]]
"""The rounds of one server, by mode."""


async def _round(gateway: Gateway, *, stream: bool, differing: bool) -> _Figures:
    """Send the requests of one round."""
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
    return _Figures(
        cpu_us, statistics.median(latencies) * 1000, *await _spaced(gateway.port, request)
    )


async def _spaced(port: int, request: bytes) -> tuple[float, float]:
    """Send requests at random times. Return median and 90th percentile of their latencies in ms."""
    tasks = []
    for _ in range(_SPACED):
        tasks.append(asyncio.create_task(load(port, request, connections=1, requests=1)))
        await asyncio.sleep(random.expovariate(1 / _MEAN_GAP_S))
    latencies = [each.latencies[0] * 1000 for each in await asyncio.gather(*tasks)]
    return statistics.median(latencies), statistics.quantiles(latencies, n=10)[-1]


async def _server(rounds: int, *, stream: bool, differing: bool) -> _Rounds:
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
        found: _Rounds = {mode: [] for mode in _MODES}
        for number in range(rounds + 1):
            print(f"round {number} of {rounds} ", end="\r", file=sys.stderr)
            for mode in random.sample(_MODES, len(_MODES)):
                process.send_signal(mode)
                figures = await _round(gateway, stream=stream, differing=differing)
                if number:
                    found[mode].append(figures)
        lines = sum(1 for _ in (Path(folder) / f"comparison-{port}.jsonl").open())
    expected = (rounds + 1) * (_REQUESTS + _ALONE + _SPACED)
    if lines < expected * 0.99:
        print(f"only {lines} of {expected} comparisons", file=sys.stderr)
    return found


def _summary(servers: Sequence[_Rounds]) -> list[float]:
    """Return the figures of the report.

    They are: the CPU time of a request in µs, of a call, of a call in a group, what copies add to
    each of these, the same in %, and the added latency in ms: of requests alone, at random times,
    and what calls add to these.
    """

    def low(rounds: _Rounds, mode: int, name: str) -> float:
        values = sorted(getattr(each, name) for each in rounds[mode])
        return float(values[len(values) // _LOW])

    def mean(name: str, mode: int, less: int | None = None) -> float:
        return statistics.mean(
            low(each, mode, name) - (0 if less is None else low(each, less, name))
            for each in servers
        )

    base = mean("cpu_us", OFF)
    calls = [mean("cpu_us", mode, OFF) for mode in (CALLS, GROUPS)]
    extra = [mean("cpu_us", COPIES, mode) for mode in (CALLS, GROUPS)]
    return [
        base,
        *calls,
        *extra,
        *(100 * each / base for each in extra),
        mean("alone_ms", COPIES, OFF),
        *(mean(name, mode, OFF) for mode in (COPIES, CALLS) for name in ("spaced_ms", "late_ms")),
    ]


def _errors(servers: Sequence[_Rounds]) -> list[float]:
    """Return the standard errors of the lines, by resampling servers and their rounds."""
    chance = random.Random(0)

    def again() -> list[_Rounds]:
        return [
            {mode: chance.choices(rounds, k=len(rounds)) for mode, rounds in each.items()}
            for each in chance.choices(servers, k=len(servers))
        ]

    samples = [_summary(again()) for _ in range(_SAMPLES)]
    return [statistics.stdev(values) for values in zip(*samples, strict=True)]


async def _run(servers: int, rounds: int, *, stream: bool, differing: bool) -> None:
    os.sched_setaffinity(0, {1})
    found = [await _server(rounds, stream=stream, differing=differing) for _ in range(servers)]
    base, call, grouped, extra, beyond, share, rest, alone, median, tenth, *by_calls = (
        f"{value:.2f} ± {error:.2f}"
        for value, error in zip(_summary(found), _errors(found), strict=True)
    )
    print(
        f"{'streamed' if stream else 'plain'}, {'differing' if differing else 'equal'} answers, "
        f"{servers} servers, {rounds} rounds each, lowest {100 // _LOW}th percentile ± standard "
        f"error:\n"
        f"  CPU of a request      {base} µs\n"
        f"  an upstream call      {call} µs, in groups {grouped} µs\n"
        f"  copies add besides    {extra} µs, {share} %\n"
        f"  … to calls in groups  {beyond} µs, {rest} %\n"
        f"  latency of a request  alone {alone} ms more; at random times, {1 / _MEAN_GAP_S:.0f} a "
        f"second: median {median} ms, 90th percentile {tenth} ms\n"
        f"  … with calls instead  {by_calls[0]} ms, {by_calls[1]} ms"
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
