"""Rows as tuples in the order of their columns, the cheapest form for drivers."""

from __future__ import annotations

from typing import Final, NamedTuple

from tenuto.operations.store.names import Names
from tenuto.operations.store.rows import ClosedRow, OpenedRow

# Bounds of the columns.
_MOST: Final = 2**31 - 1
_MOST_COST: Final = 2**53 - 1


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


def open_values(row: OpenedRow, names: Names) -> OpenValues:
    """Return a row with ids instead of names. Numbers outside of a column are cut."""
    opening = row.opening
    return OpenValues(
        row.id,
        opening.admitted_at,
        opening.key,
        _bounded(opening.cost, _MOST_COST),
        names.id_of(opening.requested_model),
        _bounded(opening.input_tokens),
        _bounded(opening.output_tokens),
    )


def ledger_values(row: ClosedRow, names: Names) -> LedgerValues:
    """Return a row with ids instead of names. Numbers outside of a column are cut."""
    opening, closing = row.opening, row.closing
    first = closing.first_token_ms
    return LedgerValues(
        row.id,
        opening.admitted_at,
        opening.key,
        _bounded(opening.cost, _MOST_COST),
        _bounded(closing.cost, _MOST_COST),
        names.id_of(opening.requested_model),
        _bounded(opening.input_tokens),
        _bounded(opening.output_tokens),
        names.id_of(closing.served_model),
        names.id_of(closing.upstream),
        _bounded(closing.input_tokens),
        _bounded(closing.cached_tokens),
        _bounded(closing.output_tokens),
        _bounded(closing.total_ms),
        names.id_of(closing.outcome),
        _bounded(closing.status, 999),
        None if first is None else _bounded(first),
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
