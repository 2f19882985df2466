"""Figures that other parts of a server keep, read by a scrape."""

from __future__ import annotations

from collections.abc import Mapping

from tenuto.operations.accounts.charge import Book
from tenuto.operations.limits.limit import Limit
from tenuto.operations.metrics import families
from tenuto.operations.metrics.figures import Figures
from tenuto.operations.store.ledger import LedgerState


def write_book(book: Book, figures: Figures) -> None:
    """Write the figures of limits, and those of the ledger if there is one."""
    refused = book.refused
    figures.samples[families.LIMITED.name] = {(limit,): refused.get(limit, 0) for limit in Limit}
    figures.set(families.RESERVED, book.reserved_tokens)
    figures.set(families.SETTLED, book.settled_tokens)
    if book.ledger is not None:
        _write_ledger(book.ledger.state, figures)


def _write_ledger(state: LedgerState, figures: Figures) -> None:
    figures.set(families.LEDGER_ROWS, state.rows)
    figures.set(families.LEDGER_DROPPED, state.dropped)
    figures.set(families.LEDGER_LAG, state.lag_s)


def write_idempotency(results: Mapping[str, int], figures: Figures) -> None:
    """Write the numbers of requests and responses with idempotency keys by result."""
    figures.samples[families.IDEMPOTENCY.name] = {
        (result,): count for result, count in results.items()
    }


def write_reloads(results: Mapping[str, int], figures: Figures) -> None:
    """Write the number of reloads by result: `success` or `failure`; absent ones are 0."""
    figures.samples[families.RELOADS.name] = {
        (result,): results.get(result, 0) for result in ("success", "failure")
    }
