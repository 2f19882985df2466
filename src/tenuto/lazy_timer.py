"""A timer that is cheap to move."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class LazyTimer:
    """A timer for timeouts that are moved far more often than they occur.

    Setting and cancelling a timer of the event loop costs about as much as handling an event of a
    stream. So `start` and `stop` only note the time. The event loop's timer is left alone until it
    fires; then it is set again if it fired too early.

    Not thread-safe: all methods belong to one event loop.

    Args:
        loop: The event loop.
        callback: Called at the time that the last `start` set.
    """

    __slots__ = ("_callback", "_due", "_fires", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._due = self._fires = math.inf
        self._handle: asyncio.TimerHandle | None = None

    def start(self, delay_s: float) -> None:
        """Call the callback after a delay in seconds, and not at the time set before."""
        self._due = due = self._loop.time() + delay_s
        if due < self._fires:
            self._set(due)

    def stop(self) -> None:
        """Do not call the callback until the next `start`."""
        self._due = math.inf

    def close(self) -> None:
        """Stop, and release the event loop's timer, which would keep this object alive."""
        self._due = self._fires = math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _set(self, due: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._fires = due
        self._handle = self._loop.call_at(due, self._on_handle)

    def _on_handle(self) -> None:
        self._handle, self._fires = None, math.inf
        if self._due > self._loop.time():
            if self._due < math.inf:
                self._set(self._due)
            return
        self._due = math.inf
        self._callback()
