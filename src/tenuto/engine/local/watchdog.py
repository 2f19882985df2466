"""Notices a worker that hangs: stopped, without any share of a processor, or getting nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

# How often it asks, as a share of the time that an answer may take.
_ASK_EVERY: Final = 0.25
# After the time is over: if this process stood still too, the answer lies in the socket.
_SECOND_CHANCE: Final = 0.1
# So many answers without progress since the first one take the whole time.
_MOST_STALLS: Final = 4


class Stalls:
    """Counts how often in a row each activity was seen without progress.

    Answers are counted, not time: while the machine sleeps, or both processes are stopped, none
    comes.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def count(self, progress: Mapping[str, int]) -> bool:
        """Takes what is under way: a number for each activity, which changes when it gets on.

        Returns:
            Whether one of them gets nowhere.
        """
        seen = {}
        for name, number in progress.items():
            before, stalls = self._seen.get(name, (None, 0))
            seen[name] = (number, stalls + 1 if before == number else 0)
        self._seen = seen
        return any(stalls >= _MOST_STALLS for _, stalls in seen.values())


class Watchdog:
    """Asks a worker for a sign of life, which it gives between two steps, and for its progress.

    Args:
        timeout_s: How long an answer, and each progress, may take, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._answered = asyncio.Event()
        self._stalls = Stalls()
        self._stalled = False

    def heard(self, progress: Mapping[str, int] | None = None) -> None:
        """The worker answered.

        Args:
            progress: See `Stalls.count`.
        """
        self._stalled = self._stalls.count(progress or {})
        self._answered.set()

    async def hangs(self, ask: Callable[[], None]) -> str:
        """Returns when an answer, or progress, has not come in time: which of them."""
        while True:
            await asyncio.sleep(_ASK_EVERY * self._timeout_s)
            self._answered.clear()
            ask()
            if not await self._comes(self._timeout_s) and not await self._comes(
                _SECOND_CHANCE * self._timeout_s
            ):
                return "no step ended"
            if self._stalled:
                return "no job got on"

    async def stalls(self, activity: Callable[[], int | None]) -> None:
        """Returns when a number did not change in time. While it is None, nothing is known."""
        stalls = Stalls()
        while True:
            number = activity()
            if stalls.count({} if number is None else {"": number}):
                return
            await asyncio.sleep(_ASK_EVERY * self._timeout_s)

    async def _comes(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        return True
