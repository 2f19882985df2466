"""The end of the grace time: running answers end with an error, whatever they wait for."""

from __future__ import annotations

import asyncio

from tenuto.core.refusal import Refusal, overloaded
from tenuto.interruption import Interruption

# How long answers may take to notice, before the engine is closed under them.
_NOTICE_S = 1.0
_RETRY_AFTER_S = 1.0


class Shutdown(Interruption):
    """Interrupts the running answers of one server with an overload refusal.

    Another try reaches the next server.
    """

    def __init__(self) -> None:
        super().__init__(_refusal)

    async def end_answers(self) -> None:
        """End all of them, and those that still begin. Returns when they have noticed."""
        self.begin()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NOTICE_S
        while self.running and loop.time() < deadline:
            await asyncio.sleep(0.01)


def _refusal() -> Refusal:
    return overloaded(
        "The server is shutting down. Try again in a moment.", retry_after=_RETRY_AFTER_S
    )
