"""Start all sides with one model file, and measure them in turns."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.engine import peers, scenarios
from benchmarks.engine.machine import Others, Patience
from benchmarks.engine.peers import BareLoop
from benchmarks.engine.report import OTHERS, Table
from benchmarks.engine.scenarios import STREAMS, Amounts, Figures, Scenario, streams_rate
from benchmarks.engine.streams import Prompts, Server
from benchmarks.engine.vocabulary import Vocabulary
from tenuto.engine.local import gguf
from tenuto.engine.local.runtimes import runtimes

SCENARIOS: Final = ("prefill", *map(str, STREAMS), "bare", "lookup", "prefix", "conversations")

# More streams than this are no news of a server that answers one after another.
_MOST_SERIAL: Final = 8
# A measurement is repeated while others keep more of the cores busy.
MOST_OTHERS: Final = 0.3
_WARM_TOKENS: Final = 8

_Side = TypeVar("_Side")


@dataclass(frozen=True)
class Plan:
    """The measurements of each model file.

    Attributes:
        scenarios: Some of `SCENARIOS`.
        amounts: Sizes of requests.
        rounds: Rounds of all but prefix and conversations, which have `cache_rounds`.
        runtimes: Tenuto's sides: values of the setting `runtime`.
        bare_streams: Numbers of streams of the bare loops.
        threads: Of each side.
        context: Tenuto's setting; None for the default.
        tries: How often a measurement under foreign load is made at most.
        llama_server: A program that is measured too.
        llama_cpp_python: A Python with llama_cpp that is measured too.
    """

    scenarios: Sequence[str]
    amounts: Amounts
    rounds: int
    cache_rounds: int
    runtimes: Sequence[str]
    bare_streams: Sequence[int]
    threads: int
    context: int | None
    tries: int = 2
    llama_server: str | None = None
    llama_cpp_python: str | None = None


def reads(runtime: str, model: Path) -> bool:
    """Return whether a runtime reads a model file."""
    return not runtimes()[runtime].refusal(gguf.read(model)) if runtime in runtimes() else True


def measure(
    table: Table, plan: Plan, model: Path, vocabulary: Vocabulary, patience: Patience
) -> None:
    """Measure all rounds, and add the figures to a table as they come."""
    prompts = Prompts(secrets.randbits(32), vocabulary)
    with ExitStack() as stack:
        servers, loops = _start(stack, table, plan, model, vocabulary)
        _warm_up(servers, loops, prompts)
        run = _Run(table, prompts, patience, plan.tries)
        for number in range(plan.rounds):
            _note(f"{table.title}, round {number + 1} of {plan.rounds}")
            # One that answers one after another is slow, and the same in every round.
            quick = [server for server in servers if not (server.serial and number)]
            if "prefill" in plan.scenarios:
                run.servers(scenarios.prefill(plan.amounts), quick)
            for streams in STREAMS:
                if str(streams) not in plan.scenarios:
                    continue
                able = [each for each in quick if not each.serial or streams <= _MOST_SERIAL]
                run.servers(scenarios.burst(streams, plan.amounts), able)
                if "bare" in plan.scenarios and streams in plan.bare_streams:
                    run.loops(loops, streams, plan.amounts)
            if "lookup" in plan.scenarios:
                run.servers(scenarios.copying, [each for each in quick if each.runtime])
        long = {"prefix", "conversations"} & {*plan.scenarios}
        for number in range(plan.cache_rounds if long else 0):
            _note(f"{table.title}, caches, round {number + 1} of {plan.cache_rounds}")
            if "prefix" in plan.scenarios:
                run.servers(scenarios.shared_prefix, servers)
            if "conversations" in plan.scenarios:
                run.servers(scenarios.conversations, servers)


def _start(
    stack: ExitStack, table: Table, plan: Plan, model: Path, vocabulary: Vocabulary
) -> tuple[list[Server], list[BareLoop]]:
    threads = plan.threads
    able = [runtime for runtime in plan.runtimes if reads(runtime, model)]
    for runtime in sorted({*plan.runtimes} - {*able}):
        _note(f"{table.title}: {runtime} does not read it")
    servers = [peers.tenuto(model, threads, runtime, plan.context) for runtime in able]
    servers.append(peers.xllamacpp(model, threads))
    if program := plan.llama_server:
        servers.append(peers.llama_server(program, model, threads))
    if python := plan.llama_cpp_python:
        servers.append(peers.llama_cpp_python(python, model, threads))
    loops = [
        peers.bare_loop(runtime, model, threads, vocabulary.texts)
        for runtime in dict.fromkeys(peers.chosen(model, each) for each in able)
        if "bare" in plan.scenarios
    ]
    # At once: a runtime may take long to load a model, with one thread.
    with ThreadPoolExecutor(len(servers) + len(loops)) as pool:
        found = [pool.submit(_enter, stack, side) for side in servers]
        bare = [pool.submit(_enter, stack, loop) for loop in loops]
    started = [future.result() for future in found]
    table.runtimes = {server.name: server.runtime for server in started if server.runtime}
    return started, [future.result() for future in bare]


def _enter(stack: ExitStack, side: AbstractContextManager[_Side]) -> _Side:
    # A list of exits: threads may append to it.
    return stack.enter_context(side)


def _warm_up(servers: list[Server], loops: list[BareLoop], prompts: Prompts) -> None:
    expected = "".join(prompts.completion(_WARM_TOKENS))
    for server in servers:
        (answer,) = asyncio.run(server.ask_all([prompts.distinct(64)], _WARM_TOKENS))
        if answer.text.replace(" ", "") != expected:
            raise RuntimeError(f"{server.name} computes {answer.text!r}, which is not the model's")
    for loop in loops:
        loop.rate(1, 64, _WARM_TOKENS)


class _Run:
    """Measurements whose figures go to one table."""

    def __init__(self, table: Table, prompts: Prompts, patience: Patience, tries: int) -> None:
        self._tries = tries
        self._table = table
        self._prompts = prompts
        self._patience = patience

    def servers(self, scenario: Scenario, servers: list[Server]) -> None:
        for server in servers:

            def measure(server: Server = server) -> Figures:
                return asyncio.run(scenario(server, self._prompts))

            self._add(server.name, measure)

    def loops(self, loops: list[BareLoop], streams: int, amounts: Amounts) -> None:
        for loop in loops:

            def measure(loop: BareLoop = loop) -> Figures:
                rate = loop.rate(streams, amounts.prompt, amounts.completion)
                return {streams_rate(streams): rate}

            self._add(loop.name, measure)

    def _add(self, side: str, measure: Callable[[], Figures]) -> None:
        for name, value in self._quiet(side, measure).items():
            self._table.add(name, side, value)
            _note(f"  {side}: {name} {value:.3g}")

    def _quiet(self, side: str, measure: Callable[[], Figures]) -> Figures:
        """Measure, repeat under foreign load, and return the quietest result."""
        tries = []
        for _ in range(self._tries):
            self._patience.wait()
            others = Others()
            found = measure()
            tries.append((others.cores(), found))
            if not tries[-1][0] > MOST_OTHERS:
                break
            _note(f"  {side}: others took {tries[-1][0]:.2f} cores")
        cores, found = min(tries, key=lambda each: each[0])
        self._table.add(OTHERS, side, cores)
        return found


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
