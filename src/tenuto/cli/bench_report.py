"""Print and draw the figures of `tenuto bench`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from tenuto.bench.figures import Figures
from tenuto.bench.load import Load
from tenuto.cli import output
from tenuto.cli.terminal import note
from tenuto.version import __version__

_OWN_SERVER: Final = "a server of its own"
# Above this share of a core, the client may limit the figures.
_BUSY_CLIENT: Final = 0.8
# Title, width, and title on a narrow terminal, where columns without one are left out.
_COLUMNS: Final = (
    ("at once", 8, "at once"),
    ("requests", 9, ""),
    ("failed", 8, "failed"),
    ("tokens/s", 10, "tokens/s"),
    ("median", 10, "first s"),
    ("p99", 9, ""),
    ("median", 11, "next ms"),
    ("p99", 10, ""),
)
_GROUPS: Final = f"{'':37}{'first token, s':^17}{'between tokens, ms':^22}".rstrip()


@dataclass
class Report:
    """Print figures as a table, a row at a time, or as one JSON object at the end.

    Attributes:
        server: The server's address; None for one that was started for the measurement.
        model: The value of `--model`.
        plot: File to draw the figures into.
    """

    load: Load
    server: str | None
    model: str | None
    json: bool
    plot: Path | None
    levels: list[Figures] = field(default_factory=list)

    def add(self, level: Figures) -> None:
        """Add the figures of one level; empty ones are left out."""
        if not (level.requests or level.failed):
            return
        if not self.json:
            if not self.levels:
                self._print_head()
            output.line(_row(_cells(level)))
        self.levels.append(level)

    def finish(self) -> None:
        """Print the remarks or the JSON object, and write the plot; without figures, JSON only."""
        if self.json:
            report = {
                "tenuto": __version__,
                "server": self.server or _OWN_SERVER,
                "load": asdict(self.load),
                "levels": [asdict(level) for level in self.levels],
            }
            output.line(json.dumps(report, indent=2))
        elif self.levels:
            output.line()
            for line in _remarks(self.levels):
                output.line(output.wrapped(line))
        if self.plot is not None and self.levels:
            from tenuto.bench.plot import svg

            drawn = svg(self.levels, self._title(), self._circumstances())
            self.plot.write_text(drawn, encoding="utf-8")
            note(f"Wrote {self.plot}.")

    def _title(self) -> str:
        sizes = f"{self.load.sizes.prompt_words} words, {self.load.max_tokens} tokens"
        return f"tenuto bench: {self.load.kind} prompts, {sizes}"

    def _circumstances(self) -> str:
        """Return the model, machine and date, so that a plot can be compared with another."""
        processors = f"{os.cpu_count()} processors ({platform.machine()})"
        today = datetime.now().astimezone().date()
        model = self.model or "the model of the settings"
        if self.server is None:
            return f"{model} on {processors}, tenuto {__version__}, {today}"
        return f"{model} at {self.server}, measured from {processors}, {today}"

    def _print_head(self) -> None:
        output.line(f"{output.wrapped(f'{self._title()}, {self.server or _OWN_SERVER}')}\n")
        narrow = _is_narrow()
        if not narrow:
            output.line(_GROUPS)
        output.line(_row([(narrow and short) or title for title, _, short in _COLUMNS]))


def _is_narrow() -> bool:
    return output.width() < sum(width for _, width, _ in _COLUMNS)


def _row(cells: list[str]) -> str:
    columns = zip(cells, _COLUMNS, strict=True)
    narrow = _is_narrow()
    return "".join(c.rjust(width) for c, (_, width, short) in columns if short or not narrow)


def _cells(level: Figures) -> list[str]:
    first, between = level.first_token_s, level.between_tokens_s
    return [
        *(str(level.concurrency), str(level.requests), str(level.failed)),
        f"{level.tokens_per_s:,.1f}",
        *(_number(first.median, 1, 3), _number(first.p99, 1, 3)),
        *(_number(between.median, 1000, 1), _number(between.p99, 1000, 1)),
    ]


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{factor * value:,.{digits}f}"


def _remarks(levels: list[Figures]) -> Iterator[str]:
    """Yield how exact the figures are, and what failed or disturbed them."""
    whole, exact = sum(level.requests for level in levels), sum(level.exact for level in levels)
    if exact == whole:
        yield "Tokens: exact, because every completion stopped at --max-tokens."
    else:
        yield (
            f"Tokens: exact for {exact} of {whole} completions; of the others, events with text "
            "are counted, which is a lower bound."
        )
    for level in levels:
        for reason, count in level.failures.items():
            yield f"{level.concurrency} at once: {count} failed: {reason}"
        if not level.complete:
            yield f"{level.concurrency} at once: interrupted before its end."
    busiest = max(levels, key=lambda level: level.client_cpu)
    yield f"The client used at most {busiest.client_cpu:.2f} of a core."
    if busiest.client_cpu > _BUSY_CLIENT:
        yield f"At {busiest.concurrency} at once it may have limited the figures."
