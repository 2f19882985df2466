"""Detect a worker that hangs: stopped, starved of the processor, or without progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

# Interval of pings, as a share of the timeout.
_PING_EVERY: Final = 0.25
# Grace after the timeout: if this process was suspended too, the reply is in the socket.
_SECOND_CHANCE: Final = 0.1
# Replies in a row without progress after the first one; together they take the whole timeout.
_MOST_STALLS: Final = 4


class Stalls:
    """Count how often in a row each activity was seen without progress.

    Replies are counted instead of time: none comes while the machine sleeps, or while both
    processes are stopped.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}

    def count(self, progress: Mapping[str, int]) -> bool:
        """Count one reply, with a number for each activity, which changes as the activity proceeds.

        Return whether an activity hangs.
        """
        seen = {}
        for name, number in progress.items():
            before, stalls = self._seen.get(name, (None, 0))
            seen[name] = (number, stalls + 1 if before == number else 0)
        self._seen = seen
        return any(stalls >= _MOST_STALLS for _, stalls in seen.values())


class Watchdog:
    """Ping a worker, which replies between two steps with its progress.

    Args:
        timeout_s: Longest time until a reply, and without progress, in seconds.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._answered = asyncio.Event()
        self._stalls = Stalls()
        self._stalled = False

    def answered(self, progress: Mapping[str, int] | None = None) -> None:
        self._stalled = self._stalls.count(progress or {})
        self._answered.set()

    async def hangs(self, ping: Callable[[], None]) -> str:
        """Ping until the worker hangs, and return how."""
        while True:
            await asyncio.sleep(_PING_EVERY * self._timeout_s)
            self._answered.clear()
            ping()
            if not await self._answer(self._timeout_s) and not await self._answer(
                _SECOND_CHANCE * self._timeout_s
            ):
                return "no step ended"
            if self._stalled:
                return "no job got on"

    async def stalls(self, activity: Callable[[], int | None]) -> str:
        """Watch a number until it has not changed in time. None counts as progress."""
        stalls = Stalls()
        while True:
            number = activity()
            if stalls.count({} if number is None else {"": number}):
                return "nothing was read or computed"
            await asyncio.sleep(_PING_EVERY * self._timeout_s)

    async def _answer(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._answered.wait()
        except TimeoutError:
            return False
        return True
