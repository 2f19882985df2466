"""Measure the usage of a completion."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from time import perf_counter

from tenuto.core.events import End
from tenuto.core.job import Piece, Usage
from tenuto.core.refusal import Kind
from tenuto.core.token_gaps import GAP_BOUNDS_S, TokenGaps
from tenuto.stream.transcript import Transcript


class Meter:
    """The usage and the outcome of one completion, or of all completions of a request.

    Args:
        clock: Monotonic seconds.

    Attributes:
        began: Time when the engine got the job, on the clock; None before it.
        outcome: Reason of the end, or kind of the error; None while running and after a disconnect.
            Of several completions the error of any, else `End.LENGTH` if one was too long.
        first_token_at: Time of the first token on the clock; None before it.
        transcript: Keeps the text of the completion, if it is set before the first text.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._parts: list[Meter] = []
        self._total: Meter | None = None
        self.began: float | None = None
        self.first_token_at: float | None = None
        self._last_token_at = 0.0
        self._gaps = [0] * (len(GAP_BOUNDS_S) + 1)
        self._counted = Usage()
        self._is_current = False
        self.outcome: End | Kind | None = None
        self.transcript: Transcript | None = None

    def part(self) -> Meter:
        """Return a new meter, whose completion counts in this one."""
        part = Meter(self._clock)
        part._total = self
        self._parts.append(part)
        return part

    def begin(self) -> None:
        """Record that the engine gets the job."""
        self.began = self._clock()
        if self._total is not None and self._total.began is None:
            self._total.began = self.began

    def count(self, piece: Piece) -> None:
        """Record the next piece. Its tokens count as if they had arrived at equal distances."""
        tokens = piece.tokens
        if tokens or piece.text:
            now = self._clock()
            if self.first_token_at is None:
                self.first_token_at = now
                if self._total is not None and self._total.first_token_at is None:
                    self._total.first_token_at = now
            else:
                gap = now - self._last_token_at
                if tokens > 1:
                    gap /= tokens
                self._gaps[bisect_left(GAP_BOUNDS_S, gap)] += tokens or 1
            self._last_token_at = now
        if piece.usage is not None:
            self._counted = piece.usage
        self._is_current = piece.usage is not None

    def cut(self, tokens: int) -> None:
        """Take off the last tokens, which followed on a stop sequence, unless none was counted."""
        counted = self._counted
        if tokens and self._is_current and counted.output_tokens is not None:
            output_tokens = max(0, counted.output_tokens - tokens)
            self._counted = Usage(counted.input_tokens, counted.cached_tokens, output_tokens)

    def end(self, outcome: End | Kind) -> None:
        """Record the outcome."""
        self.outcome = outcome
        if self._total is not None:
            self._total._part_ended(outcome)

    def _part_ended(self, outcome: End | Kind) -> None:
        if isinstance(outcome, Kind):
            self.outcome = self.outcome or outcome
        elif all(part.outcome is not None for part in self._parts) and self.outcome is None:
            ends = [part.outcome for part in self._parts]
            self.outcome = End.LENGTH if End.LENGTH in ends else ends[0]

    @property
    def counted(self) -> Usage:
        """The tokens of one completion so far, perhaps without the time to the first one."""
        return self._counted

    def usage(self) -> Usage:
        """Return the usage so far."""
        if self._parts:
            self._counted = _sum_of([part._counted for part in self._parts])
        counted = self._counted
        if (
            counted.time_to_first_token_ms is None
            and self.first_token_at is not None
            and self.began is not None
        ):
            first_ms = round(1000 * (self.first_token_at - self.began), 3)
            # Kept, because it is asked for several times at the end.
            counted = self._counted = Usage(
                counted.input_tokens, counted.cached_tokens, counted.output_tokens, first_ms
            )
        return counted

    def gaps(self) -> TokenGaps | None:
        """Return the times between tokens; None before the second piece.

        The tokens of the first piece arrive together, so they have none between them.
        """
        if self._parts:
            each = [gaps for part in self._parts if (gaps := part.gaps()) is not None]
            counts = [sum(column) for column in zip(*(gaps.counts for gaps in each), strict=True)]
            return TokenGaps(counts, sum(gaps.total_s for gaps in each)) if each else None
        if self.first_token_at is None or not any(self._gaps):
            return None
        return TokenGaps(self._gaps, self._last_token_at - self.first_token_at)


def _sum_of(usages: Sequence[Usage]) -> Usage:
    """Return the sums of all counts; one that is unknown in any is unknown."""

    def total(counts: list[int | None]) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    return Usage(
        total([usage.input_tokens for usage in usages]),
        total([usage.cached_tokens for usage in usages]),
        total([usage.output_tokens for usage in usages]),
    )
