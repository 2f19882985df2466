"""Cancel work when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client disconnected before the end of the response."""


async def while_connected(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """Run `work` and return its result; cancel it on a disconnect.

    Args:
        work: The work.
        receive: The request's ASGI channel, after the end of the body.

    Raises:
        ClientGone: The client disconnected first.
    """
    current = asyncio.current_task()
    assert current is not None
    disconnected = False

    def cancel(watch: asyncio.Task[None]) -> None:
        nonlocal disconnected
        if not watch.cancelled():
            disconnected = True
            current.cancel()

    watch = asyncio.create_task(_disconnect(receive))
    watch.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        # A cancellation from elsewhere takes precedence.
        if disconnected and not current.uncancel():
            raise ClientGone from None
        raise
    finally:
        watch.remove_done_callback(cancel)
        watch.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
