"""Read the rest of a request's body before the response starts.

A request may be refused by its head alone. But many clients read the response only after the whole
request is sent, and a connection that is closed with unread data is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.server.body import MOST_BODY_BYTES
from tenuto.server.request_headers import header
from tenuto.settings import LimitSettings

# A connection with more unread bytes than this multiple of the limit is closed.
_PATIENCE = 2


class WholeBodyMiddleware:
    """Discards the rest of the body when a response starts, within the limits."""

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app = app
        self._timeout_s = limits.body_timeout_s
        self._most = _PATIENCE * (limits.max_body_bytes or MOST_BODY_BYTES)

    # Plain functions that return the awaitable of the next one: a coroutine that only passes a call
    # on would run for every message of a stream.

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        # With `expect: 100-continue` the client has not sent the body.
        if scope["type"] != "http" or header(scope, b"expect") is not None:
            return self._app(scope, receive, send)
        ended = False

        async def receive_and_note() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or not message.get("more_body", False)
            return message

        def send_after_body(message: Message) -> Awaitable[None]:
            if ended or message["type"] != "http.response.start":
                return send(message)
            return discard_and_send(message)

        async def discard_and_send(message: Message) -> None:
            dropped = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeout_s):
                    while not ended and dropped <= self._most:
                        dropped += len((await receive_and_note()).get("body", b""))
            await send(message)

        return self._app(scope, receive_and_note, send_after_body)
