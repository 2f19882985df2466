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
        work: What to do. It is cancelled when the client leaves.
        receive: The request's ASGI channel, its body read to the end.

    Returns:
        What `work` returns.

    Raises:
        ClientGone: The client left first.
    """
    current = asyncio.current_task()
    assert current is not None
    left = False

    def leave(watch: asyncio.Task[None]) -> None:
        nonlocal left
        if not watch.cancelled():
            left = True
            current.cancel()

    watch = asyncio.create_task(_left(receive))
    watch.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        # Cancelled from elsewhere too, it is not for the client's sake alone.
        if left and not current.uncancel():
            raise ClientGone from None
        raise
    finally:
        watch.remove_done_callback(leave)
        watch.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
