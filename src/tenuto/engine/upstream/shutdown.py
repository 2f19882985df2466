"""End the waits of running jobs when their engine is closed."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

from tenuto.engine.base import EngineFailed

SHUTTING_DOWN: Final = "The engine is shutting down."


class Shutdown:
    """Interrupt every wait at the moment of `begin`, and refuse all later ones."""

    def __init__(self) -> None:
        self.begun: bool = False
        self._waits: set[Interruptible] = set()

    def begin(self) -> None:
        """Raise `EngineFailed` in every running wait, and in all later ones."""
        self.begun = True
        for wait in tuple(self._waits):
            wait.interrupt()

    def interruptible(self) -> Interruptible:
        """A block whose awaits end with `EngineFailed` when the shutdown begins."""
        return Interruptible(self, self._waits)


class Interruptible:
    """See `Shutdown.interruptible`. It works as `asyncio.timeout` does: by a cancellation.

    A block may not contain a `yield`: what its generator's caller awaits would be cancelled.
    """

    __slots__ = ("_cancelling", "_interrupted", "_shutdown", "_task", "_waits")

    def __init__(self, shutdown: Shutdown, waits: set[Interruptible]) -> None:
        self._shutdown = shutdown
        self._waits = waits
        self._interrupted = False

    def __enter__(self) -> None:
        if self._shutdown.begun:
            raise EngineFailed(SHUTTING_DOWN)
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._waits.add(self)

    def interrupt(self) -> None:
        self._interrupted = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waits.discard(self)
        # More than its own cancellation: the task is cancelled for another reason too.
        if (
            self._interrupted
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise EngineFailed(SHUTTING_DOWN) from None
