"""Give every request an id and a record.

Every response has the headers `request-id` and `anthropic-organization-id`, as in the original
service.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.refusal import Kind
from tenuto.operations.records import RequestRecord
from tenuto.server.recorder import Recorder


class RecordMiddleware:
    """Middleware that adds `record` to the scope."""

    def __init__(self, app: ASGIApp, organization_id: str, recorder: Recorder) -> None:
        self._app = app
        self._organization_id = (b"anthropic-organization-id", organization_id.encode("latin-1"))
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and complete its record at the end."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The protocol has already created the record if it refused the body.
        record: RequestRecord = scope.get("record") or self._recorder.begin(scope)
        scope["record"] = record
        headers = ((b"request-id", record.id.encode()), self._organization_id)

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
                record.status = record.status or message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except BaseException:
            # A bug after the start of the response, which is aborted.
            record.outcome = record.outcome or Kind.FAILED
            raise
        finally:
            self._recorder.end(record)
