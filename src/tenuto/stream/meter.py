"""Measure the usage of a completion."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from time import perf_counter

from tenuto.core.events import End
from tenuto.core.job import Piece, Usage
from tenuto.core.refusal import Kind
from tenuto.core.token_gaps import GAP_BOUNDS_S, TokenGaps


class Meter:
    """The usage and the outcome of one completion.

    Args:
        clock: Monotonic seconds.

    Attributes:
        outcome: Reason of the end, or kind of the error; None while running and after a disconnect.
        first_token_at: Time of the first token on the clock; None before it.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began: float | None = None
        self.first_token_at: float | None = None
        self._last_token_at = 0.0
        self._gaps = [0] * (len(GAP_BOUNDS_S) + 1)
        self._counted = Usage()
        self.outcome: End | Kind | None = None

    def begin(self) -> None:
        """Record that the engine gets the job."""
        self._began = self._clock()

    def count(self, piece: Piece) -> None:
        """Record the next piece. Its tokens count as if they had arrived at equal distances."""
        tokens = piece.tokens
        if tokens or piece.text:
            now = self._clock()
            if self.first_token_at is None:
                self.first_token_at = now
            else:
                gap = now - self._last_token_at
                if tokens > 1:
                    gap /= tokens
                self._gaps[bisect_left(GAP_BOUNDS_S, gap)] += tokens or 1
            self._last_token_at = now
        if piece.usage is not None:
            self._counted = piece.usage

    def end(self, outcome: End | Kind) -> None:
        """Record the outcome."""
        self.outcome = outcome

    def usage(self) -> Usage:
        """Return the usage so far."""
        if self.first_token_at is None or self._began is None:
            return self._counted
        first_ms = round(1000 * (self.first_token_at - self._began), 3)
        counted = self._counted
        return Usage(counted.input_tokens, counted.cached_tokens, counted.output_tokens, first_ms)

    def gaps(self) -> TokenGaps | None:
        """Return the times between tokens; None before the second piece.

        The tokens of the first piece arrive together, so they have none between them.
        """
        if self.first_token_at is None or not any(self._gaps):
            return None
        return TokenGaps(self._gaps, self._last_token_at - self.first_token_at)
