"""Names every request, and answers with the name in the `request-id` header."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tenuto.server.response_headers import with_header
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
        await self._app(scope, receive, with_header(send, "request-id", name))
