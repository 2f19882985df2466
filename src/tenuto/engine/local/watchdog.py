"""Notices a worker that hangs: stopped, in an endless step, or without any share of a processor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

# How often it asks, as a share of the time that an answer may take.
_ASK_EVERY: Final = 0.25
# After the time is over: if this process stood still too, the answer lies in the socket.
_SECOND_CHANCE: Final = 0.1


class Watchdog:
    """Asks a worker for a sign of life; it answers between two steps.

    Args:
        timeout_s: How long an answer may take, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._answered = asyncio.Event()

    def heard(self) -> None:
        """The worker answered."""
        self._answered.set()

    async def hangs(self, ask: Callable[[], None]) -> None:
        """Returns when an answer has not come in time."""
        while True:
            await asyncio.sleep(_ASK_EVERY * self._timeout_s)
            self._answered.clear()
            ask()
            if await self._comes(self._timeout_s) or await self._comes(
                _SECOND_CHANCE * self._timeout_s
            ):
                continue
            return

    async def _comes(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        return True
