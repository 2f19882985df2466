"""End running responses with an error at the end of the grace time."""

from __future__ import annotations

import asyncio
from functools import partial

from tenuto.core.refusal import overloaded
from tenuto.interruption import Interruption

# How long responses may take to end before the engine is closed.
_NOTICE_S = 1.0
_RETRY_AFTER_S = 1.0
_MESSAGE = "The server is shutting down. Try again in a moment."


class Shutdown(Interruption):
    """Interrupts the running responses with an overload refusal, so that clients retry.

    Attributes:
        draining: Whether the server stops, and should get no new requests.
    """

    def __init__(self) -> None:
        super().__init__(partial(overloaded, _MESSAGE, retry_after=_RETRY_AFTER_S))
        self.draining: bool = False

    async def end_answers(self) -> None:
        """End all running responses, and refuse later ones. Return when they have ended."""
        self.draining = True
        self.begin()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NOTICE_S
        while self.running and loop.time() < deadline:
            await asyncio.sleep(0.01)
