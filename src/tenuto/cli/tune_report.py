"""Print the figures of `tenuto tune`, and the choice."""

from __future__ import annotations

import json as json_format
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tenuto.bench.candidates import PREFILL, Measured, Purpose, shape_text
from tenuto.cli import output
from tenuto.version import __version__

_MARK: Final = "*"


class Choice(Protocol):
    """A stored choice, with its day as `2026-11-26`."""

    @property
    def comparison(self) -> str: ...
    @property
    def date(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TuneReport:
    """Printer of one tuning.

    Attributes:
        model: The model's name.
        path: Its file.
        processor: Name and class of the processor.
        cores: Its cores for this process.
        purpose: The value of `--for`.
        objective: The shapes that decide.
    """

    model: str
    path: Path
    processor: str
    cores: int
    purpose: Purpose
    objective: Sequence[int]

    def print(
        self,
        measured: Sequence[Measured],
        best: Measured | None,
        chosen: Choice | None,
        *,
        json: bool,
    ) -> None:
        """Print the figures as a table or as one JSON object, with the choice if there is one."""
        if json:
            output.line(json_format.dumps(self._object(measured, best, chosen), indent=2))
            return
        deciding = ", ".join(shape_text(shape) for shape in self.objective)
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        title = f"tenuto tune: {self.model} on {self.processor}, {cores}, tokens/s"
        output.line(f"{output.wrapped(title)}\n")
        _print_table(measured, best)
        output.line()
        for each in measured:
            if each.failure:
                output.line(output.wrapped(f"{each.candidate}: {each.failure}"))
        if best is not None and chosen is not None:
            gain = f", {chosen.comparison}" if chosen.comparison else ""
            choice = f"{_MARK} the choice for {self.purpose} ({deciding}): {best.candidate}{gain}"
            output.line(output.wrapped(choice))

    def _object(
        self, measured: Sequence[Measured], best: Measured | None, chosen: Choice | None
    ) -> dict[str, Any]:
        choice = None
        if best is not None and chosen is not None:
            choice = {
                "runtime": best.candidate.runtime,
                "threads": best.candidate.threads,
                "comparison": chosen.comparison,
                "date": chosen.date,
            }
        return {
            "tenuto": __version__,
            "model": self.model,
            "path": str(self.path),
            "processor": self.processor,
            "cores": self.cores,
            "for": self.purpose.value,
            "objective": [_key(shape) for shape in self.objective],
            "candidates": [
                {
                    "runtime": each.candidate.runtime,
                    "threads": each.candidate.threads,
                    "load_s": each.load_s,
                    "tokens_per_s": {_key(shape): rate for shape, rate in each.rates.items()},
                    "failure": each.failure or None,
                }
                for each in measured
            ],
            "choice": choice,
        }


def _key(shape: int) -> str:
    return "prefill" if shape == PREFILL else str(shape)


def _print_table(measured: Sequence[Measured], best: Measured | None) -> None:
    """Print a line for each candidate; on a narrow terminal, a line for each figure."""
    shapes = sorted({shape for each in measured for shape in each.rates})
    titles = ["", "runtime", "threads", "load, s", *map(shape_text, shapes)]
    rows = [
        [
            _MARK if each is best else "",
            each.candidate.title,
            str(each.candidate.threads),
            "-" if each.load_s is None else f"{each.load_s:.1f}",
            *(_rate(each.rates.get(shape)) for shape in shapes),
        ]
        for each in measured
    ]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > output.width():
        for row in rows:
            output.line(f"{row[0]:2}{row[1]}")
            for title, cell in zip(titles[2:], row[2:], strict=True):
                output.line(f"    {title:12}{cell:>10}")
        return
    for row in (titles, *rows):
        mark, runtime, *numbers = row
        right = [cell.rjust(width) for cell, width in zip(numbers, widths[2:], strict=True)]
        output.line("  ".join([mark.ljust(widths[0]), runtime.ljust(widths[1]), *right]).rstrip())


def _rate(rate: float | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
