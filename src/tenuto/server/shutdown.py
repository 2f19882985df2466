"""The end of the grace time: running answers are told, whatever they wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tenuto.wire.errors import Overloaded

# How long answers may take to notice, before the engine is closed under them.
_NOTICE_S = 1.0
_RETRY_AFTER_S = 1.0


class Shutdown:
    """Interrupts the running answers of one server. Its methods share one event loop."""

    def __init__(self) -> None:
        self._running: set[asyncio.Timeout] = set()
        self._ended = False

    @asynccontextmanager
    async def interrupting(self) -> AsyncGenerator[None]:
        """Run a block until the grace time ends.

        Raises:
            Overloaded: It has ended. Another try reaches the next server.
        """
        try:
            async with asyncio.timeout(None) as scope:
                if self._ended:
                    scope.reschedule(0)
                self._running.add(scope)
                try:
                    yield
                finally:
                    self._running.discard(scope)
        except TimeoutError:
            if not scope.expired():
                raise
            raise Overloaded(
                "The server is shutting down. Try again in a moment.", retry_after=_RETRY_AFTER_S
            ) from None

    async def end_answers(self) -> None:
        """End all of them, and those that still begin. Returns when they have noticed."""
        self._ended = True
        loop = asyncio.get_running_loop()
        for scope in self._running:
            scope.reschedule(loop.time())
        deadline = loop.time() + _NOTICE_S
        while self._running and loop.time() < deadline:
            await asyncio.sleep(0.01)

    @property
    def running(self) -> int:
        """How many answers are running."""
        return len(self._running)
