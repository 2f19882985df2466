"""The embedded engine against llama.cpp, on one model file.

    python -m benchmarks.engine [--help]

A model with random weights in the shape of Qwen2.5-0.5B is written once, to the folder for
temporary files (0.9 GB). `tenuto serve` and the peers load the same file and are asked through
HTTP, in turns, with the same number of threads; the runtime's own loop is measured between them.
Each figure is the median of all rounds, and each ratio is that of two medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.engine import peers, scenarios
from benchmarks.engine.machine import Others, Patience, description
from benchmarks.engine.model import model_file
from benchmarks.engine.peers import BareLoop
from benchmarks.engine.scenarios import Figures, Scenario
from benchmarks.engine.streams import Prompts, Server

# Figures by name and then by who, one entry a round.
Table = dict[str, dict[str, list[float]]]

BARE = "bare OpenVINO loop"
# More streams than this are no news of a server that answers one after another.
_MOST_SERIAL = 8
# A measurement is repeated, so often at most, while others keep more of the cores busy.
_TRIES = 2
_MOST_OTHERS = 0.3
OTHERS = "cores that other work took while it was measured"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--quantisation",
        action="append",
        choices=["Q8_0", "Q4_0"],
        dest="quantisations",
        help="of the model; may be given twice (default: both)",
    )
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    parser.add_argument(
        "--cache-rounds", type=int, default=1, help="of shared prefix and turns (default: 1)"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--llama-server", metavar="PROGRAM", help="measure this one, too")
    parser.add_argument(
        "--llama-cpp-python", metavar="PYTHON", help="measure the llama_cpp that this has, too"
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="wait so long, in all, for moments in which nothing else runs (default: 0)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds into it")
    return parser.parse_args()


def main() -> None:
    """Measure each quantisation, and print a table."""
    arguments = _arguments()
    patience = Patience(60 * arguments.wait, _MOST_OTHERS)
    report: dict[str, Table] = {}
    print(description(arguments.threads), flush=True)
    try:
        for quantisation in arguments.quantisations or ["Q8_0", "Q4_0"]:
            table = report[quantisation] = Table()
            try:
                _measure(table, quantisation, arguments, patience)
            finally:
                # After Ctrl-C too: what was measured so far.
                print("\n".join(_lines(quantisation, table)), flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=1))


def _measure(
    table: Table, quantisation: str, arguments: argparse.Namespace, patience: Patience
) -> None:
    model = model_file(quantisation)
    prompts = Prompts(secrets.randbits(32))
    with ExitStack() as stack:
        servers = [
            stack.enter_context(peers.tenuto(model, arguments.threads)),
            stack.enter_context(peers.xllamacpp(model, arguments.threads)),
        ]
        if program := arguments.llama_server:
            servers.append(
                stack.enter_context(peers.llama_server(program, model, arguments.threads))
            )
        if python := arguments.llama_cpp_python:
            servers.append(
                stack.enter_context(peers.llama_cpp_python(python, model, arguments.threads))
            )
        bare = stack.enter_context(peers.bare_loop(model, arguments.threads))
        _warm_up(servers, bare, prompts)
        for number in range(arguments.rounds):
            _note(f"{quantisation}, round {number + 1} of {arguments.rounds}")
            # One that answers one after another is slow, and the same in every round.
            quick = [server for server in servers if not (server.serial and number)]
            _round(table, scenarios.prefill, quick, prompts, patience)
            for streams, scenario in scenarios.BURSTS.items():
                runnable = [each for each in quick if not each.serial or streams <= _MOST_SERIAL]
                _round(table, scenario, runnable, prompts, patience)
                _bare_round(table, bare, streams, patience)
        for number in range(arguments.cache_rounds):
            _note(f"{quantisation}, caches, round {number + 1} of {arguments.cache_rounds}")
            _round(table, scenarios.shared_prefix, servers, prompts, patience)
            _round(table, scenarios.multi_turn, servers, prompts, patience)


def _warm_up(servers: list[Server], bare: BareLoop, prompts: Prompts) -> None:
    for server in servers:
        asyncio.run(server.ask_all([prompts.distinct(64)], 8))
    bare.rate(1, 64, 8)


def _round(
    table: Table, scenario: Scenario, servers: list[Server], prompts: Prompts, patience: Patience
) -> None:
    for server in servers:

        def measure(server: Server = server) -> Figures:
            return asyncio.run(scenario(server, prompts))

        for name, value in _quiet(table, server.name, measure, patience).items():
            _add(table, name, server.name, value)
            _note(f"  {server.name}: {name} {value:.3g}")


def _bare_round(table: Table, bare: BareLoop, streams: int, patience: Patience) -> None:
    name = f"{streams} stream{'s' if streams > 1 else ''}: tokens/s"

    def measure() -> Figures:
        return {name: bare.rate(streams, scenarios.PROMPT_TOKENS, scenarios.COMPLETION_TOKENS)}

    _add(table, name, BARE, _quiet(table, BARE, measure, patience)[name])


def _quiet(
    table: Table, system: str, measure: Callable[[], Figures], patience: Patience
) -> Figures:
    """Measure, repeat under foreign load, and return the quietest result."""
    tries = []
    for _ in range(_TRIES):
        patience.wait()
        others = Others()
        found = measure()
        tries.append((others.cores(), found))
        if not tries[-1][0] > _MOST_OTHERS:
            break
        _note(f"  {system}: others took {tries[-1][0]:.2f} cores")
    cores, found = min(tries, key=lambda each: each[0])
    _add(table, OTHERS, system, cores)
    return found


def _add(table: Table, name: str, system: str, value: float) -> None:
    table.setdefault(name, {}).setdefault(system, []).append(value)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _lines(quantisation: str, table: Table) -> Iterator[str]:
    """The table: ours, and each peer with how many times better we are."""
    yield f"\n{quantisation}: median (lowest to highest); x: how many times better Tenuto is"
    for name, sides in table.items():
        yield name
        ours = statistics.median(sides.get("Tenuto", [float("nan")]))
        if name == OTHERS:
            ours = float("nan")
        for system, values in sides.items():
            median = statistics.median(values)
            ratio = median / ours if name.endswith(", s") else ours / median
            note = "" if system == "Tenuto" or ratio != ratio else f"   x {ratio:.2f}"
            spread = f"({min(values):,.2f} to {max(values):,.2f})"
            yield f"    {system:28} {median:10,.2f} {spread:24}{note}"


if __name__ == "__main__":
    main()
