"""`tenuto usage`: what keys and models have used."""

from __future__ import annotations

import csv as csv_format
import io
import json as json_format
import time
from typing import TYPE_CHECKING, Annotated

import typer

from tenuto.cli import options, output
from tenuto.cli.failure import Failure
from tenuto.cli.store import opened_store
from tenuto.cli.table import print_table
from tenuto.cli.terminal import note
from tenuto.operations.keys.policy import PolicyError, parse_lifetime

if TYPE_CHECKING:
    from tenuto.operations.store.usage import UsageRow

_GROUPS = ("key", "model", "day", "upstream")
_SUMS = ("requests", "input_tokens", "cached_tokens", "output_tokens", "cost")
_TITLES = ("REQUESTS", "INPUT", "CACHED", "OUTPUT", "COST")


def usage(
    by: Annotated[
        str,
        typer.Option(metavar="GROUPS", help="One or more of key, model, day and upstream."),
    ] = "key",
    since: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only requests of this age: a number with s, m, h or d."),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    config: options.Config = None,
) -> None:
    """Print requests, tokens and cost, from the ledger.

    Days are those of UTC. Completions that are still running do not count. The cost is in the
    currency of the prices; with --csv and --json it is in millionths of it, as a whole number.

    \b
    tenuto usage --since 7d
    tenuto usage --by day,model --csv
    """  # noqa: D301 - `\b` tells typer to keep these lines
    if csv and json:
        raise Failure("write --csv or --json, not both", 2)
    groups = _groups(by)
    first = _first_moment(since)
    with opened_store(config) as (database, _):
        from tenuto.operations.store.usage import usage as sums

        rows = sums(database, groups, first)
    if json:
        listed = [{**dict(zip(groups, row.group, strict=True)), **_sums(row)} for row in rows]
        output.line(json_format.dumps({"rows": listed}, ensure_ascii=False, indent=2))
    elif csv:
        _print_csv(groups, rows)
    elif rows:
        _print_rows(groups, rows)
    else:
        note("No completions are recorded.")


def _groups(text: str) -> tuple[str, ...]:
    groups = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    for each in groups:
        if each not in _GROUPS:
            from difflib import get_close_matches

            near = get_close_matches(each[:50], _GROUPS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"write one of: {', '.join(_GROUPS)}"
            raise Failure(f"--by: unknown group {each[:50]!r}; {hint}", 2)
    return groups


def _first_moment(since: str | None) -> int:
    """Return the first moment in milliseconds since 1970."""
    if since is None:
        return 0
    try:
        seconds = parse_lifetime(since)
    except PolicyError as error:
        raise Failure(f"--since: {error}", 2) from None
    return max(0, time.time_ns() // 1_000_000 - seconds * 1000)


def _sums(row: UsageRow) -> dict[str, int]:
    return {name: getattr(row, name) for name in _SUMS}


def _print_csv(groups: tuple[str, ...], rows: list[UsageRow]) -> None:
    text = io.StringIO()
    writer = csv_format.writer(text, lineterminator="\n")
    writer.writerow([*groups, *_SUMS])
    for row in rows:
        writer.writerow([*(part or "" for part in row.group), *_sums(row).values()])
    output.write(text.getvalue())


def _print_rows(groups: tuple[str, ...], rows: list[UsageRow]) -> None:
    titles = [*(group.upper() for group in groups), *_TITLES]
    cells = [
        [*(part or "-" for part in row.group), *_cells(list(_sums(row).values()))] for row in rows
    ]
    if len(rows) > 1:
        total = [
            sum(amounts) for amounts in zip(*(_sums(row).values() for row in rows), strict=True)
        ]
        cells.append(["total", *("" for _ in groups[1:]), *_cells(total)])
    print_table(titles, cells, _TITLES)


def _cells(amounts: list[int]) -> list[str]:
    *counts, cost = amounts
    return [*(f"{count:,}" for count in counts), money(cost)]


def money(micro_units: int) -> str:
    """Return an amount with at least two and at most six decimal places."""
    whole, rest = divmod(micro_units, 1_000_000)
    decimals = f"{rest:06}".rstrip("0").ljust(2, "0")
    return f"{whole:,}.{decimals}"
