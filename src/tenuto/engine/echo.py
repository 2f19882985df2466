"""An engine without a model: it writes the last Human turn back, a word a token.

Deterministic, instant and dependency-free, it stands in for a model where a test wants to know
the answer beforehand. Sampling settings have no effect, since there is nothing to choose.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Iterator

from tenuto.core.job import Finish, Job, Piece, Usage
from tenuto.core.refusal import failed
from tenuto.engine.base import Capabilities, Health

_WORD = re.compile(r"\S+")
# Longest part of a word, or of white space before one, that is written at once.
_LONGEST_PIECE = 16 * 1024
_COUNTED_AT_ONCE = 4096


class EchoEngine:
    """Writes ` ` and the last Human turn, or a raw prompt as it is."""

    def __init__(self) -> None:
        self._running = 0
        self._closed = False

    async def start(self) -> None:
        """Nothing to load."""

    async def ready(self) -> str:
        """Ready from the first moment."""
        return "echo"

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Yields one word after another, white space included."""
        if self._closed:
            raise failed("The engine is closed.")
        self._running += 1
        try:
            asked = await _count_words(job.prompt.pieces())
            yield Piece("", usage=Usage(asked, 0, 0))
            number = 0
            length = False
            for text, ends in _words(job.prompt.question()):
                await asyncio.sleep(0)
                if self._closed:
                    raise failed("The engine is closed.")
                number += ends
                yield Piece(text, tokens=int(ends), usage=Usage(asked, 0, number))
                length = number >= job.max_tokens
                if length:
                    break
            yield Piece("", finish=Finish.LENGTH if length else Finish.END)
        finally:
            self._running -= 1

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`. All seeds give one text, since there is nothing to choose."""
        return Capabilities(model="echo", extensions=("seed",))

    def health(self) -> Health:
        """Ready until it is closed."""
        return Health(not self._closed, "Echoes the question.", running=self._running)

    async def aclose(self) -> None:
        """Running jobs raise at their next word."""
        self._closed = True


async def _count_words(pieces: Iterable[str]) -> int:
    """Count the words of a text. Other jobs go on between two pieces."""
    count = 0
    in_word = False
    for piece in filter(None, pieces):
        count += len(piece.split()) - (in_word and not piece[0].isspace())
        in_word = not piece[-1].isspace()
        # A piece of `LongText` has a quarter of its characters where each takes four bytes.
        if len(piece) > _COUNTED_AT_ONCE:
            await asyncio.sleep(0)
    return count


def _words(pieces: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield each word with the white space before it, and whether it ends there.

    A word that is longer than a piece comes in parts. White space at the end is left out.
    """
    held = ""
    for piece in pieces:
        text = held + piece
        start = 0
        for word in _WORD.finditer(text):
            if word.end() == len(text):
                break  # It may go on.
            yield text[start : word.end()], True
            start = word.end()
        held = text[start:]
        while len(held) > _LONGEST_PIECE:
            yield held[:_LONGEST_PIECE], False
            held = held[_LONGEST_PIECE:]
    if held.strip():
        yield held.rstrip(), True
