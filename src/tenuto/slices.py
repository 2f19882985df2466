"""Run long work in slices, so that the event loop serves other requests in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

# Work on this size costs less than the rest of a request, even for 64 requests in one round.
_AT_ONCE_BYTES = 1024


def finish(steps: Generator[None, None, T]) -> T:
    """Run a generator to its end at once, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


class Slices:
    """Let one request do one slice of work in each round of the event loop.

    Otherwise the slices of many requests add up in one round. Not thread-safe: all methods belong
    to one event loop.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def call(self, work: Callable[[], T], size: int) -> T:
        """Do work on `size` bytes in one slice, or at once for up to 1 KiB."""
        if size <= _AT_ONCE_BYTES:
            return work()
        async with self._turn:
            result = work()
            # The next waiter continues in another round of the loop.
            await asyncio.sleep(0)
        return result

    async def run(self, steps: Generator[None, None, T], size: int | None = None) -> T:
        """Run a generator to its end, one slice for each step, and return its result.

        Work on an input of up to 1 KiB is done at once, without an `await`; `size` is in bytes,
        None for a large one.
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
