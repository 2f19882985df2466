"""An engine without a model: it writes the last Human turn back, a word a token.

Deterministic, instant and dependency-free, it stands in for a model where a test wants to know
the answer beforehand. Sampling settings have no effect, since there is nothing to choose.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from tenuto.engine.base import EngineFailed, Finish, Job, Piece, Status, Usage


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
            raise EngineFailed("The engine is closed.")
        questions = [turn.text for turn in job.prompt.turns if turn.human]
        words = _words(questions[-1] if questions else job.prompt.text)
        asked = len(_words(job.prompt.text))
        self._running += 1
        try:
            yield Piece("", usage=Usage(asked, 0, 0))
            for number, word in enumerate(words[: job.max_tokens], 1):
                await asyncio.sleep(0)
                if self._closed:
                    raise EngineFailed("The engine is closed.")
                yield Piece(word, tokens=1, usage=Usage(asked, 0, number))
            length = len(words) >= job.max_tokens
            yield Piece("", finish=Finish.LENGTH if length else Finish.END)
        finally:
            self._running -= 1

    async def ping(self) -> Status:
        """Always ready."""
        return Status(
            not self._closed,
            "echo",
            "Echoes the question.",
            running=self._running,
            # All seeds give one text, since there is nothing to choose.
            extensions=("seed",),
        )

    async def aclose(self) -> None:
        """Running jobs raise at their next word."""
        self._closed = True


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*?", text)
