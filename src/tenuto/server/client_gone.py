"""Stops work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection before its answer was complete."""


async def while_connected(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Runs `work` as long as the client is there.

    Args:
        work: What to do. It is cancelled, and waited for, when the client leaves.
        receive: The request's ASGI channel, its body read to the end.

    Returns:
        What `work` returns.

    Raises:
        ClientGone: The client left first.
    """
    task = asyncio.create_task(work)
    watch = asyncio.create_task(_left(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        task.cancel()
        watch.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
