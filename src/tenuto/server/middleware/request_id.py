"""Names every request, and answers with the name in the `request-id` header.

The service also says whose key it was, in `anthropic-organization-id`; so does this.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from tenuto.server.response_headers import with_headers
from tenuto.wire.ids import request_id


class RequestIdMiddleware:
    """Puts a fresh `req_…` into `scope["request_id"]` and into the response's headers."""

    def __init__(self, app: ASGIApp, organization_id: str) -> None:
        self._app = app
        self._organization_id = organization_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on, with the header added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = request_id()
        scope["request_id"] = name
        headers = {"request-id": name, "anthropic-organization-id": self._organization_id}
        await self._app(scope, receive, with_headers(send, headers))
