"""Give every request an id and a record.

Every response carries the id in `request-id`, and a constant `anthropic-organization-id`, as the
original service does.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.refusal import Kind
from tenuto.operations.records import RequestRecord
from tenuto.server.recorder import Recorder


class RecordMiddleware:
    """Puts a record with a fresh `req_…` into the scope, as `record`.

    Args:
        app: The application.
        organization_id: The value of the header.
        recorder: Begins and completes the records.
    """

    def __init__(self, app: ASGIApp, organization_id: str, recorder: Recorder) -> None:
        self._app = app
        self._organization_id = organization_id
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with the headers added."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The protocol has made one already if it has refused the request's body.
        record: RequestRecord = scope.get("record") or self._recorder.begin(scope)
        scope["record"] = record
        headers = {"request-id": record.id, "anthropic-organization-id": self._organization_id}

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
                record.status = record.status or message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except BaseException:
            # A bug in the middle of an answer, which is cut.
            record.outcome = record.outcome or Kind.FAILED
            raise
        finally:
            self._recorder.end(record)
