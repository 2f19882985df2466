"""End the awaits of many tasks at one moment, each with an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Interruption:
    """Interrupt all blocks that run when it begins, and refuse all later ones.

    Its methods share one event loop.

    Args:
        error: Makes the error that each block ends with.

    Attributes:
        begun: Whether it has begun.
    """

    def __init__(self, error: Callable[[], Exception]) -> None:
        self.begun: bool = False
        self._error = error
        self._running: set[Interruptible] = set()

    @property
    def running(self) -> int:
        """How many blocks are running."""
        return len(self._running)

    def begin(self) -> None:
        """Raise the error in every running block, where it waits, and in all later ones."""
        if not self.begun:
            self.begun = True
            for block in tuple(self._running):
                block.interrupt()

    def interruptible(self) -> Interruptible:
        """Return a `with` block of a task that ends with the error when the interruption begins."""
        return Interruptible(self, self._running, self._error)


class Interruptible:
    """A block that may be interrupted, by the rules of `asyncio.Timeout`, which costs ten times.

    It may not contain a `yield`: what its generator's caller awaits would be cancelled.
    """

    __slots__ = ("_cancelling", "_error", "_interrupted", "_interruption", "_running", "_task")

    def __init__(
        self,
        interruption: Interruption,
        running: set[Interruptible],
        error: Callable[[], Exception],
    ) -> None:
        self._interruption = interruption
        self._running = running
        self._error = error
        self._interrupted = False

    def __enter__(self) -> None:
        if self._interruption.begun:
            raise self._error()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._running.add(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.discard(self)
        if not self._interrupted:
            return
        # Cancelled from elsewhere too, the task ends for that reason.
        alone = self._task.uncancel() <= self._cancelling
        if alone and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise self._error() from None

    def interrupt(self) -> None:
        """Cancel what the block waits for."""
        self._interrupted = True
        self._task.cancel()
