"""Print and draw the figures of `tenuto bench`."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

from tenuto.bench.figures import Figures
from tenuto.bench.load import Load
from tenuto.cli import output
from tenuto.cli.failure import Failure
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
_WIDTH: Final = sum(width for _, width, _ in _COLUMNS)


class Report:
    """Print figures as a table, a row at a time, or as one JSON object at the end.

    Args:
        load: The requests.
        server: The server's address; None for one that was started for the measurement.
        json: Whether to print JSON.
        plot: File to draw the figures into.
        model: The model's name, if it was given.
    """

    def __init__(
        self,
        load: Load,
        server: str | None,
        *,
        json: bool,
        plot: Path | None,
        model: str | None,
    ) -> None:
        self._load = load
        self._server = server or _OWN_SERVER
        self._json = json
        self._plot = plot
        self._model = model or "the model of the settings"
        self._narrow = output.width() < _WIDTH
        self._levels: list[Figures] = []
        self.complete = True

    def add(self, level: Figures) -> None:
        """Add the figures of one level; empty ones are left out."""
        self.complete = level.complete
        if not (level.requests or level.failed):
            return
        if not self._json:
            if not self._levels:
                self._print_head()
            output.line(self._row(_cells(level)))
        self._levels.append(level)

    def finish(self) -> None:
        """Print the remarks or the JSON object, and write the plot.

        Raises:
            Failure: The plot cannot be written.
        """
        if not self._levels:
            return
        if self._json:
            output.line(json.dumps(self._object(), indent=2))
        else:
            output.line()
            for line in _remarks(self._levels):
                output.line(output.wrapped(line))
        if self._plot is not None:
            from tenuto.bench.plot import svg

            drawn = svg(self._levels, self._title(), self._circumstances())
            try:
                self._plot.write_text(drawn, encoding="utf-8")
            except OSError as error:
                raise Failure(f"{self._plot}: {error.strerror}") from None
            note(f"Wrote {self._plot}.")

    def _title(self) -> str:
        sizes = f"{self._load.sizes.prompt_words} words, {self._load.max_tokens} tokens"
        return f"tenuto bench: {self._load.kind} prompts, {sizes}"

    def _circumstances(self) -> str:
        """Return the model, machine and date, so that a plot can be compared with another."""
        processors = f"{os.cpu_count()} processors ({platform.machine()})"
        today = datetime.now().astimezone().date()
        if self._server == _OWN_SERVER:
            return f"{self._model} on {processors}, tenuto {__version__}, {today}"
        return f"{self._model} at {self._server}, measured from {processors}, {today}"

    def _print_head(self) -> None:
        output.line(f"{output.wrapped(f'{self._title()}, {self._server}')}\n")
        if not self._narrow:
            output.line(_GROUPS)
        output.line(self._row([(self._narrow and short) or title for title, _, short in _COLUMNS]))

    def _row(self, cells: list[str]) -> str:
        return "".join(
            cell.rjust(width)
            for cell, (_, width, short) in zip(cells, _COLUMNS, strict=True)
            if short or not self._narrow
        )

    def _object(self) -> dict[str, object]:
        return {
            "tenuto": __version__,
            "server": self._server,
            "load": dataclasses.asdict(self._load),
            "levels": [dataclasses.asdict(level) for level in self._levels],
        }


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
