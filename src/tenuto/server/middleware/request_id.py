"""Names every request, and answers with the name in the `request-id` header."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.wire.ids import request_id


class RequestIdMiddleware:
    """Puts a fresh `req_…` into `scope["request_id"]` and into the response's headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, with the header added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = request_id()
        scope["request_id"] = name

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["request-id"] = name
            await send(message)

        await self._app(scope, receive, send_named)
