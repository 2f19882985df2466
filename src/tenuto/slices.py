"""Run long work in slices, so that the event loop stays free for all other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

# Work on fewer bytes takes less time than the rest of a request does, also for 64 in one round.
_AT_ONCE_BYTES = 1024


def finish(steps: Generator[None, None, T]) -> T:
    """Run a generator to its end at once; return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Slices:
    """A turnstile: of all requests of a server, or an engine, one does a slice in each round.

    Slices of many requests in one round would add up. Its methods share one event loop.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def call(self, work: Callable[[], T], size: int) -> T:
        """Do work on `size` bytes, in a turn of its own unless they are few."""
        if size <= _AT_ONCE_BYTES:
            return work()
        async with self._turn:
            result = work()
            # The next waiter goes on in another round of the loop.
            await asyncio.sleep(0)
        return result

    async def run(self, steps: Generator[None, None, T], size: int | None = None) -> T:
        """Run a generator to its end, a turn for each of its steps; return what it returns.

        Args:
            steps: The work, which yields between two slices.
            size: The bytes that it works on; None for many. Work on few is done at once, without
                an `await`.
        """
        if size is not None and size <= _AT_ONCE_BYTES:
            return finish(steps)
        while True:
            async with self._turn:
                try:
                    next(steps)
                except StopIteration as end:
                    result: T = end.value
                    return result
                await asyncio.sleep(0)
