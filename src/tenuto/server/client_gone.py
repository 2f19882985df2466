"""Cancel work when the client disconnects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from starlette.types import Receive, Scope

T = TypeVar("T")

EXTENSION: Final = "tenuto.connection"
"""Name of the extension in ASGI scopes: see `ResponseCycle.extension`."""


class ClientGone(Exception):
    """The client disconnected before the end of the response."""


async def while_connected(work: Coroutine[Any, Any, T], scope: Scope, receive: Receive) -> T:
    """Run `work` and return its result; cancel it on a disconnect.

    Call it after the end of the body. With the extension no task has to wait for the disconnect.

    Raises:
        ClientGone: The client disconnected first.
    """
    current = asyncio.current_task()
    assert current is not None
    disconnected = False

    def cancel() -> None:
        nonlocal disconnected
        disconnected = True
        current.cancel()

    subscribe = scope.get("extensions", {}).get(EXTENSION, {}).get("subscribe")
    unsubscribe = subscribe(cancel) if subscribe else _subscribe_by_task(receive, cancel)
    try:
        return await work
    except asyncio.CancelledError:
        # A cancellation from elsewhere takes precedence.
        if disconnected and not current.uncancel():
            raise ClientGone from None
        raise
    finally:
        unsubscribe()


def _subscribe_by_task(receive: Receive, cancel: Callable[[], None]) -> Callable[[], None]:
    """Do what the extension's function does, for servers that lack it."""

    def on_done(watch: asyncio.Task[None]) -> None:
        if not watch.cancelled():
            cancel()

    def unsubscribe() -> None:
        watch.remove_done_callback(on_done)
        watch.cancel()

    watch = asyncio.create_task(_disconnect(receive))
    watch.add_done_callback(on_done)
    return unsubscribe


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
