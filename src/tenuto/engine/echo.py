"""An engine without a model: it writes the last Human turn back, a word a token.

Deterministic, instant and dependency-free, it stands in for a model where a test wants to know
the answer beforehand. Sampling settings have no effect, since there is nothing to choose.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from tenuto.engine.base import EngineFailed, Finish, Job, Piece, Status


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
        words = re.findall(r"\s*\S+\s*?", questions[-1] if questions else job.prompt.text)
        self._running += 1
        try:
            yield Piece("")
            for word in words[: job.max_tokens]:
                await asyncio.sleep(0)
                if self._closed:
                    raise EngineFailed("The engine is closed.")
                yield Piece(word, tokens=1)
            length = len(words) >= job.max_tokens
            yield Piece("", finish=Finish.LENGTH if length else Finish.END)
        finally:
            self._running -= 1

    async def ping(self) -> Status:
        """Always ready."""
        return Status(not self._closed, "echo", "Echoes the question.", running=self._running)

    async def aclose(self) -> None:
        """Running jobs raise at their next word."""
        self._closed = True
