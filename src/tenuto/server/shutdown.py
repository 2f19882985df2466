"""The end of the grace time: running answers end with an error, whatever they wait for."""

from __future__ import annotations

import asyncio
from types import TracebackType

from tenuto.wire.errors import Overloaded

# How long answers may take to notice, before the engine is closed under them.
_NOTICE_S = 1.0
_RETRY_AFTER_S = 1.0


class Shutdown:
    """Interrupts the running answers of one server. Its methods share one event loop."""

    def __init__(self) -> None:
        self._running: set[_Interrupting] = set()
        self._ended = False

    def interrupting(self) -> _Interrupting:
        """Run a `with` block of a task until the grace time ends.

        Raises:
            Overloaded: It has ended. Another try reaches the next server.
        """
        if self._ended:
            raise _refusal()
        return _Interrupting(self._running)

    async def end_answers(self) -> None:
        """End all of them, and those that still begin. Returns when they have noticed."""
        self._ended = True
        for block in self._running:
            block.interrupt()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NOTICE_S
        while self._running and loop.time() < deadline:
            await asyncio.sleep(0.01)

    @property
    def running(self) -> int:
        """How many answers are running."""
        return len(self._running)


class _Interrupting:
    """A block that may be interrupted, by the rules of `asyncio.Timeout`, which costs ten times."""

    __slots__ = ("_cancelling", "_interrupted", "_running", "_task")

    def __init__(self, running: set[_Interrupting]) -> None:
        self._running = running
        self._interrupted = False

    def __enter__(self) -> None:
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
            raise _refusal() from None

    def interrupt(self) -> None:
        """Raise in the block, where it waits."""
        self._interrupted = True
        self._task.cancel()


def _refusal() -> Overloaded:
    return Overloaded(
        "The server is shutting down. Try again in a moment.", retry_after=_RETRY_AFTER_S
    )
