"""Counts what a completion takes, while its pieces pass."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from tenuto.engine import base
from tenuto.wire.extensions import Usage


class Meter:
    """One completion's counts. As text it is what the log says of it.

    Args:
        clock: Seconds that never run backwards.

    Attributes:
        ended: Why there is no more, in a word or two: a `stop_reason`, the type of an error, or
            what else happened; None while it goes on.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began: float | None = None
        self._first: float | None = None
        self._counted = base.Usage()
        self.ended: str | None = None

    def begin(self) -> None:
        """The engine gets the job."""
        self._began = self._clock()

    def count(self, piece: base.Piece) -> None:
        """Takes the next piece."""
        if self._first is None and (piece.tokens or piece.text):
            self._first = self._clock()
        if piece.usage is not None:
            self._counted = piece.usage

    def usage(self) -> Usage:
        """All that it took so far."""
        counted, first_ms = self._counted, None
        if self._first is not None and self._began is not None:
            first_ms = round(1000 * (self._first - self._began), 3)
        return Usage(counted.input_tokens, counted.cached_tokens, counted.output_tokens, first_ms)

    def __str__(self) -> str:
        return f"{self.ended}, {self.usage()}" if self._began is not None else str(self.ended)
