"""Names every request, keeps its record, and logs it when it has ended.

The name is in the `request-id` header of the response. The service also says whose key it was, in
`anthropic-organization-id`; so does this.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.refusal import Kind
from tenuto.server.request_log import RequestLog, RequestRecord
from tenuto.wire.errors import type_of
from tenuto.wire.ids import request_id


class RecordMiddleware:
    """Puts a fresh `req_…` and a record into the scope, as `request_id` and `record`.

    Args:
        app: What to pass requests to.
        organization_id: The value of the header.
        log: Makes the records, and gets them when they are complete.
    """

    def __init__(self, app: ASGIApp, organization_id: str, log: RequestLog) -> None:
        self._app = app
        self._organization_id = organization_id
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The protocol has made one already if it has refused the request's body.
        record: RequestRecord = scope.get("record") or self._log.begin(scope, request_id())
        name = record.id
        scope["request_id"], scope["record"] = name, record
        headers = {"request-id": name, "anthropic-organization-id": self._organization_id}

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
                record.status = record.status or message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except BaseException:
            # A bug in the middle of an answer, which is cut.
            record.end = record.end or type_of(Kind.FAILED)
            raise
        finally:
            self._log.write(record)
