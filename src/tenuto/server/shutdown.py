"""End running responses with an error at the end of the grace time."""

from __future__ import annotations

import asyncio

from tenuto.core.refusal import Refusal, overloaded
from tenuto.interruption import Interruption

# How long responses may take to end before the engine is closed.
_NOTICE_S = 1.0
_RETRY_AFTER_S = 1.0


class Shutdown(Interruption):
    """Interrupts the running responses with an overload refusal, so that clients retry."""

    def __init__(self) -> None:
        super().__init__(_refusal)

    async def end_answers(self) -> None:
        """End all running responses, and refuse later ones. Return when they have ended."""
        self.begin()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _NOTICE_S
        while self.running and loop.time() < deadline:
            await asyncio.sleep(0.01)


def _refusal() -> Refusal:
    return overloaded(
        "The server is shutting down. Try again in a moment.", retry_after=_RETRY_AFTER_S
    )
