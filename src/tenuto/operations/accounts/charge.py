"""The charge of one completion: reserved at its admission, settled once at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tenuto.core.job import Usage
from tenuto.core.value import value
from tenuto.operations.limits.reservation import Reservation
from tenuto.operations.store.rows import Closing

if TYPE_CHECKING:
    from tenuto.operations.clock import Clock
    from tenuto.operations.limits.limit import Limit
    from tenuto.operations.limits.prices import Prices
    from tenuto.operations.store.ledger import Ledger


@dataclass(slots=True)
class Book:
    """The clock, the ledger and the sums of all charges of a server.

    Attributes:
        clock: The clock.
        ledger: Records completions; None for no record.
        refused: Number of refusals by limit.
        reserved_tokens: Sum of all reserved tokens, input and output.
        settled_tokens: Sum of all charged tokens.
    """

    clock: Clock
    ledger: Ledger | None = None
    refused: Counter[Limit] = field(default_factory=Counter)
    reserved_tokens: int = 0
    settled_tokens: int = 0


@value
class CompletionEnd:
    """Facts at the end of a completion.

    Attributes:
        usage: Its usage. Unknown tokens are charged as reserved.
        served_model: The model that answered, "" for none.
        upstream: The upstream that answered, "" for none.
        status: Status of the response, 0 for none.
        outcome: Reason of the end: `stop_sequence`, `max_tokens`, `left` or the error's type.
        total_ms: Duration in milliseconds.
    """

    usage: Usage
    served_model: str
    upstream: str
    status: int
    outcome: str
    total_ms: int


class Charge:
    """The reservation and the ledger row of one completion. Its first end counts.

    Attributes:
        is_open: Whether it has not ended.
    """

    __slots__ = (
        *("_book", "_model", "_prices", "_reservation", "_ticket"),
        "is_open",
    )

    def __init__(
        self,
        book: Book,
        reservation: Reservation,
        prices: Prices,
        model: str,
        ticket: int,
    ) -> None:
        self._book, self._prices = book, prices
        self._reservation, self._ticket, self._model = reservation, ticket, model
        self.is_open: bool = True

    def end(self, facts: CompletionEnd) -> None:
        """Settle the used amounts, release the place, and complete the row."""
        if not self.is_open:
            return
        self.is_open = False
        reserved, usage, prices = self._reservation, facts.usage, self._prices
        input_tokens, output_tokens = usage.input_tokens, usage.output_tokens
        known = input_tokens is not None and output_tokens is not None
        if input_tokens is None:
            input_tokens = reserved.input_tokens
        if output_tokens is None:
            output_tokens = reserved.output_tokens
        cached_tokens, cost = usage.cached_tokens or 0, 0
        if (price := prices.find(facts.served_model) or prices.find(self._model)) is not None:
            cost = price.cost(input_tokens, cached_tokens, output_tokens)
        elif not known:
            cost = reserved.cost
        book = self._book
        reserved.settle(book.clock.now(), input_tokens, output_tokens, cost)
        book.settled_tokens += input_tokens + output_tokens
        if self._ticket:
            assert book.ledger is not None
            first_ms = usage.time_to_first_token_ms
            book.ledger.close_row(
                self._ticket,
                Closing(
                    facts.served_model,
                    facts.upstream,
                    input_tokens,
                    cached_tokens,
                    output_tokens,
                    cost,
                    facts.status,
                    facts.outcome,
                    None if first_ms is None else round(first_ms),
                    facts.total_ms,
                ),
            )

    def cancel(self) -> None:
        """Give everything back and remove the row: the completion was refused."""
        if not self.is_open:
            return
        self.is_open = False
        book = self._book
        self._reservation.cancel(book.clock.now())
        if self._ticket:
            assert book.ledger is not None
            book.ledger.discard_row(self._ticket)
