"""Print API keys of the store."""

from __future__ import annotations

import json as json_format
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tenuto.cli import output
from tenuto.cli.table import print_table
from tenuto.cli.terminal import note
from tenuto.cli.usage import money

if TYPE_CHECKING:
    from tenuto.operations.keys.entry import KeyEntry

_TITLES: Final = ("NAME", "STATE", "OWNER", "EXPIRES", "MODELS", "LIMITS")
_LIMITS: Final = {
    "requests_per_minute": "requests/min",
    "input_tokens_per_minute": "input tokens/min",
    "output_tokens_per_minute": "output tokens/min",
    "concurrent": "at once",
}


def print_key(entry: KeyEntry, key: str, *, json: bool) -> None:
    """Print a new key: alone, so that a script can take it, or with its entry as JSON."""
    if json:
        _print_json({**_facts(entry), "key": key})
        return
    if sys.stdout.isatty():
        note(f"The key of {entry.name}; it is shown only once:")
    output.line(key)


def print_entry(entry: KeyEntry, *, json: bool) -> None:
    """Print one key, without the key itself."""
    if json:
        _print_json(_facts(entry))
        return
    rows = zip(_TITLES, _cells(entry), strict=True)
    for title, cell in (*rows, ("CREATED", _moment(entry.created))):
        output.line(output.wrapped(f"{title.lower():10}{cell}", 10 * " "))


def print_entries(entries: Sequence[KeyEntry], *, json: bool) -> None:
    """Print all keys: a table, or a JSON array."""
    if json:
        _print_json([_facts(entry) for entry in entries])
    elif entries:
        print_table(_TITLES, [_cells(entry) for entry in entries])
    else:
        note("The store has no keys; `tenuto keys create NAME` makes one.")


def _print_json(value: object) -> None:
    output.line(json_format.dumps(value, ensure_ascii=False, indent=2))


def _facts(entry: KeyEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": entry.name,
        "state": _state(entry),
        "owner": entry.owner,
        "created": _moment(entry.created),
        "expires": None if entry.expires is None else _moment(entry.expires),
        "models": list(entry.models),
        "limits": asdict(entry.limits),
        "budgets": asdict(entry.budgets),
    }


def _state(entry: KeyEntry) -> str:
    if entry.disabled:
        return "disabled"
    expired = entry.expires is not None and entry.expires <= time.time_ns() // 1_000_000
    return "expired" if expired else "active"


def _cells(entry: KeyEntry) -> tuple[str, ...]:
    terms = [
        f"{limit:,} {text}"
        for name, text in _LIMITS.items()
        if (limit := getattr(entry.limits, name)) is not None
    ]
    if (tokens := entry.budgets.tokens) is not None:
        terms.append(f"{tokens.amount:,} tokens/{tokens.period}")
    if (cost := entry.budgets.cost) is not None:
        terms.append(f"cost {money(cost.amount)}/{cost.period}")
    return (
        entry.name,
        _state(entry),
        entry.owner or "-",
        "never" if entry.expires is None else _moment(entry.expires),
        ", ".join(entry.models) or "all",
        ", ".join(terms) or "none",
    )


def _moment(milliseconds: int) -> str:
    """Return a moment in UTC, as in `2026-11-26T12:00:00Z`."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return moment.isoformat().replace("+00:00", "Z")
