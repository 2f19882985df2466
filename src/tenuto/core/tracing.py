"""Watch the pieces of a job for its span."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from tenuto.core.job import Piece, Span


class WatchedPieces(AsyncGenerator[Piece, None]):
    """The pieces of a generator. Each is counted in a span, which ends with the generator.

    A cancellation leaves the span open until the generator is closed, because a time limit is one
    too, and its owner knows the error.
    """

    # Not a generator, because closing one before its first step would leave the span open.

    def __init__(self, pieces: AsyncGenerator[Piece, None], span: Span) -> None:
        self._pieces = pieces
        self._span = span

    async def asend(self, value: None) -> Piece:
        """Return the next piece."""
        try:
            piece = await self._pieces.asend(value)
        except StopAsyncIteration:
            self._span.end()
            raise
        except Exception as error:
            self._span.end(error)
            raise
        self._span.count(piece)
        return piece

    async def athrow(self, *error: Any) -> Piece:
        """Raise an error in the generator."""
        return await self._pieces.athrow(*error)

    async def aclose(self) -> None:
        """Close the generator."""
        try:
            await self._pieces.aclose()
        finally:
            self._span.close()
