"""Simulate fleets of nodes: `python -m benchmarks.fleet`.

Prints Markdown tables: the server's router beside other ways to choose a node, on traces with
shared prefixes, with bursts and without anything shared; and how a fleet grows. All ways get the
same trace. Times are simulated, from the speeds of a node that were measured. `--plot` draws both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.fleet.node import Machine, Node
from benchmarks.fleet.plot import Line, Panel, svg
from benchmarks.fleet.policies import policies
from benchmarks.fleet.simulation import Outcome, simulate
from benchmarks.fleet.trace import Trace

# Qwen 2.5 0.5B in Q8_0 with llama.cpp, on two cores with AVX2: docs/performance.md.
MACHINE: Final = Machine(prefill=204, decode=((1, 45.2), (8, 59.9), (32, 87.4)))

# Tokens a second that one process of a front sends: `benchmarks.fleet.front`.
FRONT_TOKENS: Final = 8500

_SEED: Final = 7
_SECONDS: Final = 600

TRACES: Final[Mapping[str, Callable[[int], Trace]]] = {
    "shared prefixes": lambda nodes: _trace(nodes, 0.35, prefixes=30 * nodes),
    "shared prefixes, bursts": lambda nodes: _trace(nodes, 0.3, prefixes=30 * nodes, burst=4),
    "distinct prompts": lambda nodes: _trace(nodes, 0.25, prefixes=0, own_tokens=400),
}


def _trace(nodes: int, rate: float, **others: float) -> Trace:
    return Trace(round(_SECONDS * rate * nodes), rate * nodes, **others)  # type: ignore[arg-type]


def run(nodes: int, policy: str, trace: Trace) -> Outcome:
    """Run a trace through a fleet of idle nodes."""
    fleet = [Node(f"node-{number}", MACHINE) for number in range(nodes)]
    return simulate(fleet, policies(fleet, _SEED)[policy], trace.arrivals(_SEED))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[3, 10, 50])
    parser.add_argument("--growth", type=int, nargs="*", default=[1, 2, 10, 50, 100, 200])
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the first trace")
    options = parser.parse_args(arguments)
    names = list(policies([Node("node", MACHINE)], _SEED))
    outcomes: dict[str, dict[int, Outcome]] = {name: {} for name in names}
    for nodes in options.nodes:
        for title, trace in TRACES.items():
            print(f"\n{nodes} nodes, {title}\n")
            print("| choice of the node | first token p50, s | p99, s | hit rate | tokens/s |")
            print("|---|---|---|---|---|")
            for name in names:
                outcome = run(nodes, name, trace(nodes))
                outcomes[name].setdefault(nodes, outcome)
                print(
                    f"| {name} | {outcome.quantile(0.5):.2f} | {outcome.quantile(0.99):.1f} "
                    f"| {outcome.hit_rate:.3f} | {outcome.tokens / outcome.seconds:.0f} |",
                    flush=True,
                )
    if options.growth:
        print("\nGrowth, more requests than the fleet can answer\n")
        print("| nodes | tokens/s | for each node |")
        print("|---|---|---|")
    grown: dict[int, float] = {}
    for nodes in options.growth:
        # Four times what a node can answer, so that all are busy until the end.
        outcome = run(nodes, "prefix-aware", Trace(300 * nodes, 4.0 * nodes, prefixes=30 * nodes))
        grown[nodes] = rate = outcome.tokens / outcome.seconds
        print(f"| {nodes} | {rate:.0f} | {rate / nodes:.1f} |", flush=True)
    if options.plot:
        options.plot.write_text(_picture(outcomes, grown))


def _picture(outcomes: Mapping[str, Mapping[int, Outcome]], grown: Mapping[int, float]) -> str:
    def lines(figure: Callable[[Outcome], float], *, dashed: bool = False) -> list[Line]:
        return [
            Line(name, {nodes: figure(each) for nodes, each in found.items()}, dashed)
            for name, found in outcomes.items()
        ]

    firsts = [
        *lines(lambda outcome: outcome.quantile(0.5)),
        *lines(lambda outcome: outcome.quantile(0.99), dashed=True),
    ]
    front = (float(FRONT_TOKENS), "one process of a front is saturated")
    return svg(
        "Simulated: 0.35 requests a second for each node, shared prefixes",
        [
            Panel("first token, s: p50, and p99 (dashed)", firsts),
            Panel("tokens of prompts that were cached", lines(lambda each: each.hit_rate), top=1),
            Panel(
                "tokens/s with more requests than the fleet can answer",
                [Line("prefix-aware", grown)],
                level=front,
            ),
        ],
    )


if __name__ == "__main__":
    main()
