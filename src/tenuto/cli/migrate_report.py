"""`tenuto migrate report`: the use of the old endpoint, by a server's log."""

from __future__ import annotations

import gzip
import json as json_format
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenuto.cli import output
from tenuto.cli.failure import Failure
from tenuto.cli.table import print_table
from tenuto.cli.terminal import note

if TYPE_CHECKING:
    from tenuto.migrate.log_report import Usage

_TITLES = ("KEY", "MODEL", "REQUESTS", "AS THEY ARE", "STREAMED", "AT /V1/MESSAGES", "LAST")
_MOST_SHAPES = 20


def report(
    logs: Annotated[
        list[Path],
        typer.Argument(metavar="LOG...", help="Logs of servers, also .gz; - reads standard input."),
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Model that the requests shall move to.")
    ] = "claude-haiku-4-5",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Report which keys and models still use POST /v1/complete, and what would convert as it is.

    The lines of a server's log have the shape of each request: turns, system text, prefill, stop
    sequences, sampling, and no text. Only completions count, not refused requests.

    \b
    tenuto migrate report server.log
    journalctl -u tenuto -o cat --since -7d | tenuto migrate report -
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.engine.upstream.capabilities import capabilities_of
    from tenuto.migrate.log_report import Destination, Usage, usage_of

    capabilities = capabilities_of(model)
    target = Destination(capabilities.prefill, capabilities.max_output_tokens)
    usages = usage_of(_lines(logs), target)
    if json:
        names = [each.name for each in fields(Usage)]
        rows = [{name: getattr(usage, name) for name in names} for usage in usages]
        output.line(json_format.dumps({"model": model, "usage": rows}, indent=2))
    elif usages:
        _print(usages, model)
    else:
        note("No completion of POST /v1/complete is in the log.")


def _lines(logs: list[Path]) -> Iterator[str]:
    for path in logs:
        if str(path) == "-":
            yield from (line.decode("utf-8", "replace") for line in sys.stdin.buffer)
            continue
        opened = gzip.open if path.suffix == ".gz" else open
        try:
            with opened(path, "rt", encoding="utf-8", errors="replace") as file:
                yield from file
        except (OSError, EOFError) as error:
            # A log that was cut while it was compressed has an end too early.
            reason = error.strerror if isinstance(error, OSError) else None
            raise Failure(f"{path}: {reason or error}", 2) from None


def _print(usages: list[Usage], model: str) -> None:
    from tenuto.migrate.log_report import REASONS

    rows, keys = [], set()
    for usage in usages:
        # The new endpoint is counted by key, for all models: once for each key.
        moved = "" if usage.key in keys else f"{usage.moved:,}"
        keys.add(usage.key)
        counts = (usage.requests, usage.as_they_are, usage.streamed)
        rows.append(
            [usage.key or "-", usage.model, *(f"{n:,}" for n in counts), moved, usage.last or "-"]
        )
    print_table(_TITLES, rows, _TITLES[2:6])
    total = sum(usage.requests for usage in usages)
    ready = sum(usage.as_they_are for usage in usages)
    others = " Of the others:" if ready < total else ""
    output.line(f"\n{ready:,} of {total:,} requests convert to {model} as they are.{others}")
    for name, reason in REASONS.items():
        if count := sum(usage.reasons[name] for usage in usages):
            output.line(output.wrapped(f"  {count:>9,}  {name}: {reason}", " " * 13))
    output.line("\nShapes:")
    shapes: dict[str, int] = {}
    for usage in usages:
        for shape, count in usage.shapes.items():
            shapes[shape] = shapes.get(shape, 0) + count
    for shape, count in sorted(shapes.items(), key=lambda item: -item[1])[:_MOST_SHAPES]:
        output.line(f"  {count:>9,}  {shape}")
