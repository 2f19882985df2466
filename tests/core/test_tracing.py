"""Pieces that are counted in a span."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tenuto.core.job import Piece
from tenuto.core.refusal import failed
from tenuto.core.tracing import WatchedPieces

pytestmark = pytest.mark.anyio


@dataclass
class RecordedSpan:
    """A span that records its calls."""

    calls: list[Any] = field(default_factory=list)

    def headers(self) -> dict[str, str]:
        return {}

    def resend(self, error: Exception) -> None:
        self.calls.append(("resend", error))

    def count(self, piece: Piece) -> None:
        self.calls.append(piece.text)

    def end(self, error: BaseException | None = None) -> None:
        self.calls.append(("end", error))

    def close(self) -> None:
        self.calls.append("close")


BROKEN = failed("broken")


async def pieces_of(*script: str | Exception) -> AsyncGenerator[Piece, None]:
    for step in script:
        if isinstance(step, Exception):
            raise step
        yield Piece(step)


async def test_span_ends_with_the_last_piece() -> None:
    span = RecordedSpan()
    pieces = WatchedPieces(pieces_of("a", "b"), span)
    assert [piece.text async for piece in pieces] == ["a", "b"]
    assert span.calls == ["a", "b", ("end", None)]


async def test_span_ends_with_the_error_of_the_pieces() -> None:
    span = RecordedSpan()
    with pytest.raises(type(BROKEN)):
        async for _ in WatchedPieces(pieces_of("a", BROKEN), span):
            pass
    assert span.calls == ["a", ("end", BROKEN)]


@pytest.mark.parametrize("steps", [0, 1])
async def test_span_is_closed_with_the_generator_even_before_its_first_step(steps: int) -> None:
    span = RecordedSpan()
    inner = pieces_of("a", "b")
    pieces = WatchedPieces(inner, span)
    for _ in range(steps):
        await anext(pieces)
    await pieces.aclose()
    assert span.calls == [*["a"][:steps], "close"]
    with pytest.raises(StopAsyncIteration):
        await anext(inner)
