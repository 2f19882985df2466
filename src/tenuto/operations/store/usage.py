"""Sums of the ledger: for people, for bills, and for budgets and buckets after a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Executable, Table, case, func, select

from tenuto.core.value import value
from tenuto.operations.limits.reservation import PastRequest
from tenuto.operations.store.batches import DAY_MS
from tenuto.operations.store.database import Database
from tenuto.operations.store.schema import DAY, KEY_NAME, LEDGER, NAME, OPEN

GROUPS: Final = ("key", "model", "day", "upstream")
"""Possible groups of usage. `model` is the model that answered, else the one in the request."""

SUMS: Final = ("requests", "input_tokens", "cached_tokens", "output_tokens", "cost")
"""Names of the sums in a row of usage."""

_MS_NS: Final = 1_000_000
_DAY_S: Final = DAY_MS // 1000


@value
class UsageRow:
    """Sums of one group of completions.

    Attributes:
        group: The group's name for each part of `by`; None for requests without a key, or
            completions without an upstream. A day is `2026-11-26`, in UTC.
        requests: Number of completions.
        input_tokens: Charged input tokens.
        cached_tokens: Those that were cache hits.
        output_tokens: Charged output tokens.
        cost: Charged micro-units.
    """

    group: tuple[str | None, ...]
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: int


def usage(database: Database, by: Sequence[str] = ("key",), since: int = 0) -> list[UsageRow]:
    """Return the sums of all ended completions by group, sorted by their groups.

    Whole days come from the sums of days, which retention does not delete; the rest of the first
    day comes from the rows of the ledger.

    Args:
        database: The store.
        by: One or more of `GROUPS`.
        since: The first moment of admission, in milliseconds since 1970.

    Raises:
        StoreUnavailable: The database does not work.
    """
    first, rest = divmod(since, DAY_MS)
    with database.read() as connection:
        rows = list(connection.execute(_of_days(by, first + bool(rest))))
        if rest:
            rows += connection.execute(_of_rows(by, since, (first + 1) * DAY_MS))
        labels = [_labels(connection, each) for each in by]
    sums: dict[tuple[str | None, ...], list[int]] = {}
    for row in rows:
        group = tuple(label(part) for label, part in zip(labels, row[: len(by)], strict=True))
        total = sums.setdefault(group, [0] * len(SUMS))
        for index, amount in enumerate(row[len(by) :]):
            total[index] += int(amount)
    groups = sorted(sums, key=lambda group: [(part is not None, part or "") for part in group])
    return [UsageRow(group, *sums[group]) for group in groups]


def _of_days(by: Sequence[str], first: int) -> Executable:
    groups = [DAY.c[name] for name in by]
    sums: list[ColumnElement[Any]] = [func.sum(DAY.c[name]) for name in SUMS]
    return select(*groups, *sums).where(DAY.c.day >= first).group_by(*groups)


def _of_rows(by: Sequence[str], since: int, before: int) -> Executable:
    moment, served = LEDGER.c.admitted_at, LEDGER.c.served_model
    row = (
        select(
            *(LEDGER.c.key, LEDGER.c.upstream, *(LEDGER.c[name] for name in SUMS[1:])),
            case((served != 0, served), else_=LEDGER.c.requested_model).label("model"),
            (moment // DAY_MS).label("day"),
        )
        .where(moment >= since, moment < before)
        .subquery()
    )
    groups = [row.c[name] for name in by]
    sums = (func.sum(row.c[name]) for name in SUMS[1:])
    return select(*groups, func.count(), *sums).group_by(*groups)


def _labels(connection: Connection, group: str) -> Callable[[Any], str | None]:
    """Return the function from a column of a group to its label."""
    if group == "day":
        return lambda day: datetime.fromtimestamp(int(day) * _DAY_S, UTC).date().isoformat()
    table: Table = KEY_NAME if group == "key" else NAME
    names = dict(connection.execute(select(table.c.id, table.c.text)).all())
    return lambda number: names.get(number) or None


def spent_since(database: Database, since: int) -> dict[int, tuple[int, int]]:
    """Return tokens and micro-units of each key, with the reserved amounts of open rows.

    Args:
        database: The store.
        since: The beginning of a day in UTC, in milliseconds since 1970.

    Raises:
        StoreUnavailable: The database does not work.
    """
    days = select(
        DAY.c.key, func.sum(DAY.c.input_tokens + DAY.c.output_tokens), func.sum(DAY.c.cost)
    )
    running = select(
        OPEN.c.key,
        func.sum(OPEN.c.reserved_input + OPEN.c.reserved_output),
        func.sum(OPEN.c.reserved_cost),
    )
    queries = (
        days.where(DAY.c.day >= since // DAY_MS).group_by(DAY.c.key),
        running.where(OPEN.c.admitted_at >= since).group_by(OPEN.c.key),
    )
    spent: dict[int, tuple[int, int]] = {}
    with database.read() as connection:
        for query in queries:
            for key, tokens, cost in connection.execute(query):
                before = spent.get(key, (0, 0))
                spent[key] = before[0] + int(tokens), before[1] + int(cost)
    return spent


def requests_since(database: Database, since: int) -> dict[int, list[PastRequest]]:
    """Return the requests of each key in the order of their admission, open ones included.

    Args:
        database: The store.
        since: The first moment of admission, in milliseconds since 1970.

    Raises:
        StoreUnavailable: The database does not work.
    """
    ended = select(
        *(LEDGER.c.key, LEDGER.c.admitted_at, LEDGER.c.input_tokens, LEDGER.c.output_tokens)
    ).where(LEDGER.c.admitted_at >= since)
    running = select(
        *(OPEN.c.key, OPEN.c.admitted_at, OPEN.c.reserved_input, OPEN.c.reserved_output)
    ).where(OPEN.c.admitted_at >= since)
    found: dict[int, list[PastRequest]] = {}
    with database.read() as connection:
        for row in (*connection.execute(ended), *connection.execute(running)):
            key, moment, input_tokens, output_tokens = row
            # The last nanosecond of the millisecond, so that no bucket refills too early.
            last = (moment + 1) * _MS_NS - 1
            found.setdefault(key, []).append(PastRequest(last, input_tokens, output_tokens))
    for requests in found.values():
        requests.sort(key=lambda request: request.admitted_at)
    return found
