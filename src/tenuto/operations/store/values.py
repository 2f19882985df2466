"""Rows as tuples in the order of their columns, the cheapest form for drivers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tenuto.operations.store.rows import ClosedRow, OpenedRow

# Bounds of the columns.
_MOST: Final = 2**31 - 1
_MOST_COST: Final = 2**53 - 1
_MOST_STATUS: Final = 999

# Without the function of Python that a named tuple has for its fields: a fifth of the time here.
_NEW: Final = tuple.__new__


class OpenValues(NamedTuple):
    """A row of `schema.OPEN`."""

    id: int
    admitted_at: int
    key: int
    reserved_cost: int
    requested_model: int
    reserved_input: int
    reserved_output: int


class LedgerValues(NamedTuple):
    """A row of `schema.LEDGER`."""

    id: int
    admitted_at: int
    key: int
    reserved_cost: int
    cost: int
    requested_model: int
    reserved_input: int
    reserved_output: int
    served_model: int
    upstream: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    total_ms: int
    outcome: int
    status: int
    first_token_ms: int | None


class DaySums(NamedTuple):
    """A row of `schema.DAY`."""

    day: int
    key: int
    model: int
    upstream: int
    requests: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: int


def open_values(row: OpenedRow, ids: Mapping[str, int], above: int) -> OpenValues:
    """Return a row with ids instead of names. Numbers outside of a column are cut.

    Args:
        row: The row.
        ids: The id of each name.
        above: The upper half of the id.
    """
    opening = row.opening
    return OpenValues(
        above | row.id,
        opening.admitted_at,
        opening.key,
        _bounded(opening.cost, _MOST_COST),
        ids[opening.requested_model],
        _bounded(opening.input_tokens),
        _bounded(opening.output_tokens),
    )


def ledger_values(row: ClosedRow, ids: Mapping[str, int], above: int) -> LedgerValues:
    """Return a row with ids instead of names. The arguments are those of `open_values`."""
    opening, closing = row.opening, row.closing
    first = closing.first_token_ms
    values = _NEW(
        LedgerValues,
        (
            above | row.id,
            opening.admitted_at,
            opening.key,
            opening.cost,
            closing.cost,
            ids[opening.requested_model],
            opening.input_tokens,
            opening.output_tokens,
            ids[closing.served_model],
            ids[closing.upstream],
            closing.input_tokens,
            closing.cached_tokens,
            closing.output_tokens,
            closing.total_ms,
            ids[closing.outcome],
            closing.status,
            first,
        ),
    )
    # Both bounds are of the form 2**n - 1, so the numbers are within them if their union is.
    numbers = opening.input_tokens | opening.output_tokens | closing.input_tokens
    numbers |= closing.cached_tokens | closing.output_tokens | closing.total_ms | (first or 0)
    if (
        0 <= numbers <= _MOST
        and 0 <= opening.cost | closing.cost <= _MOST_COST
        and 0 <= closing.status <= _MOST_STATUS
    ):
        return values
    return values._replace(
        reserved_cost=_bounded(opening.cost, _MOST_COST),
        cost=_bounded(closing.cost, _MOST_COST),
        reserved_input=_bounded(opening.input_tokens),
        reserved_output=_bounded(opening.output_tokens),
        input_tokens=_bounded(closing.input_tokens),
        cached_tokens=_bounded(closing.cached_tokens),
        output_tokens=_bounded(closing.output_tokens),
        total_ms=_bounded(closing.total_ms),
        status=_bounded(closing.status, _MOST_STATUS),
        first_token_ms=None if first is None else _bounded(first),
    )


def values_as_reserved(row: OpenValues, outcome: int) -> LedgerValues:
    """Return the ledger's row of a completion that is charged with its reserved amounts."""
    return LedgerValues(
        *(row.id, row.admitted_at, row.key, row.reserved_cost, row.reserved_cost),
        *(row.requested_model, row.reserved_input, row.reserved_output, 0, 0),
        *(row.reserved_input, 0, row.reserved_output, 0, outcome, 0),
        first_token_ms=None,
    )


def _bounded(number: int, most: int = _MOST) -> int:
    if 0 <= number <= most:
        return number
    return 0 if number < 0 else most
