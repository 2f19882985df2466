"""Takes a request's whole body before it is answered, also where the answer needs none of it.

A request may be refused by its head alone. But many clients read only when they have sent all, and
a connection that is closed on unread data is reset: they would never see why.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.server.body import most_body_bytes
from tenuto.server.request_headers import header
from tenuto.settings import LimitSettings

# A client that goes on beyond so many times the limit does not deserve an explanation.
_PATIENCE = 2


class WholeBodyMiddleware:
    """Drops what is left of the body when a response begins, within the limits.

    Args:
        app: The application.
        limits: Bounds of the body in size and time.
    """

    def __init__(self, app: ASGIApp, limits: LimitSettings) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, the response only after the body."""
        # A client that waits for permission to send has not sent anything yet.
        if scope["type"] != "http" or header(scope, b"expect") is not None:
            await self._app(scope, receive, send)
            return
        body = _Body(receive)

        async def send_after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not body.ended:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._limits.body_timeout_s):
                        await body.drop(_PATIENCE * most_body_bytes(self._limits, 0))
            await send(message)

        await self._app(scope, body.receive, send_after_body)


class _Body:
    """Watches how much of the body has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.ended = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.ended = self.ended or not message.get("more_body", False)
        return message

    async def drop(self, most: int) -> None:
        dropped = 0
        while not self.ended and dropped <= most:
            dropped += len((await self.receive()).get("body", b""))
