"""Tables of what was measured: text for a terminal, and rows for the documentation."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from benchmarks.engine import scenarios
from benchmarks.engine.aims import OVER_BARE, Column
from benchmarks.engine.peers import PEER, TENUTO, bare_name
from benchmarks.engine.scenarios import STREAMS, streams_rate

OTHERS: Final = "cores that other work took while it was measured"


@dataclass
class Table:
    """Figures of one model file.

    Attributes:
        title: Shape and quantisation.
        aims: The aims that apply, or None.
        runtimes: Tenuto's sides and their runtimes; the one named `TENUTO` has the setting `auto`.
        figures: By name and then by side, one entry a round.
    """

    title: str
    aims: Column | None
    runtimes: dict[str, str] = field(default_factory=dict)
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, name: str, side: str, value: float) -> None:
        """Add a round's figure."""
        self.figures.setdefault(name, {}).setdefault(side, []).append(value)

    def median(self, name: str, side: str) -> float:
        """Return the median of all rounds; NaN if it was not measured."""
        values = self.figures.get(name, {}).get(side)
        return statistics.median(values) if values else math.nan

    def ratio(self, name: str, side: str, other: str) -> float:
        """Return how many times better a side is than another; NaN if one was not measured."""
        mine, others = self.median(name, side), self.median(name, other)
        return others / mine if name.endswith(", s") else mine / others

    def comparisons(self) -> Iterator[tuple[str, float | None, dict[str, float]]]:
        """Yield what has an aim or may have one: its name, the aim, and the ratio of each side."""
        aims = self.aims
        for name in self.figures:
            if name in (OTHERS, scenarios.COPY, scenarios.NO_COPY):
                continue
            ratios = {side: self.ratio(name, side, PEER) for side in self.runtimes}
            yield name, aims.ratios.get(name) if aims else None, _measured(ratios)
        for streams in STREAMS:
            name = streams_rate(streams)
            ratios = {
                side: self.ratio(name, side, bare_name(runtime))
                for side, runtime in self.runtimes.items()
            }
            yield f"{name}, over the bare loop of the library", OVER_BARE, _measured(ratios)
        ratios = {
            side: self.median(scenarios.COPY, side) / self.median(scenarios.NO_COPY, side)
            for side in self.runtimes
        }
        name = f"{scenarios.COPY}, over that with nothing to copy"
        yield name, aims.copy if aims else None, _measured(ratios)


def text(table: Table) -> Iterator[str]:
    """Yield the lines of a table for a terminal."""
    yield f"\n{table.title}: median (lowest to highest)"
    for name, sides in table.figures.items():
        yield name
        for side, values in sides.items():
            spread = f"({min(values):,.2f} to {max(values):,.2f})"
            yield f"    {side:28} {statistics.median(values):10,.2f} {spread}"
    yield "\nhow many times better; an aim is met by `auto`, or the best side without it"
    for name, aim, ratios in table.comparisons():
        if ratios:
            found = ", ".join(f"{side} {ratio:.2f}" for side, ratio in ratios.items())
            yield f"    {name}: {found}{_verdict(aim, ratios)}"


def markdown(table: Table) -> Iterator[str]:
    """Yield the lines of a table for the documentation."""
    sides = list(table.runtimes)
    peers = list(
        dict.fromkeys(
            side for figures in table.figures.values() for side in figures if side not in sides
        )
    )
    heads = [side + (f" ({table.runtimes[side]})" if side == TENUTO else "") for side in sides]
    ratios = ["ratio"] if len(sides) == 1 else [f"ratio, {table.runtimes[side]}" for side in sides]
    aim = f"aim, {table.aims.title}" if table.aims else "aim"
    columns = ["", *heads, *peers, *ratios, aim, "met"]
    yield f"\n{table.title}:\n"
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    compared = {name: (aim, found) for name, aim, found in table.comparisons()}
    for name in [*table.figures, *(name for name in compared if name not in table.figures)]:
        if name == OTHERS:
            continue
        aimed, found = compared.get(name, (None, {}))
        values = [_cell(table.median(name, side)) for side in (*sides, *peers)]
        if not found and not any(values):
            continue
        cells = [name, *values, *(_cell(found.get(side, math.nan)) for side in sides)]
        cells.append("" if aimed is None else f"{aimed:g}")
        cells.append("" if aimed is None or not found else _met(aimed, found))
        yield f"| {' | '.join(cells)} |"


def _measured(ratios: dict[str, float]) -> dict[str, float]:
    return {side: ratio for side, ratio in ratios.items() if not math.isnan(ratio)}


def _verdict(aim: float | None, ratios: dict[str, float]) -> str:
    return "" if aim is None else f"; aim {aim:g}: {_met(aim, ratios)}"


def _met(aim: float, ratios: dict[str, float]) -> str:
    # Rounded as printed.
    return "yes" if round(ratios.get(TENUTO, max(ratios.values())), 2) >= aim else "no"


def _cell(value: float) -> str:
    """Return three significant digits; nothing for NaN."""
    if math.isnan(value):
        return ""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"
