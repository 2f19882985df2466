"""Begin and complete the records of requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.refusal import Kind
from tenuto.operations.records import Delivery, Observer, RequestRecord
from tenuto.server.client_address import TrustedProxies
from tenuto.server.request_id import REQUEST_ID
from tenuto.server.tracing import RequestTracing
from tenuto.wire.errors import kind_of_status, status_of
from tenuto.wire.ids import new_id

_log = logging.getLogger("tenuto.server")


class Recorder:
    """Creates the record of each request and passes it to all observers, in order, at the end.

    `tracing` begins the span of each request; it is also one of the observers. None for none.
    """

    def __init__(
        self,
        proxies: TrustedProxies,
        observers: Sequence[Observer],
        tracing: RequestTracing | None = None,
    ) -> None:
        self.proxies: TrustedProxies = proxies
        self.observers = observers if tracing is None else [*observers, tracing]
        self._tracing = tracing

    def begin(self, scope: Any) -> RequestRecord:
        """Return the record of a new request, with a new id. `scope` may be incomplete."""
        record = RequestRecord(
            new_id("req"),
            self.proxies.client_of(scope),
            scope.get("method", "-"),
            scope.get("path", "-"),
            time.time(),
            time.perf_counter(),
        )
        if self._tracing is not None:
            self._tracing.begin(scope, record)
        return record

    def dropped(self, scope: Any, refusal: Kind | None = None) -> str:
        """Record a request that the application does not get, refused or without a response.

        Return its id.
        """
        record = self.begin(scope)
        record.outcome = refusal or Delivery.DISCONNECTED
        record.status = status_of(refusal) if refusal else None
        self.end(record)
        return record.id

    def end(self, record: RequestRecord) -> None:
        """Complete a record and pass it to the observers."""
        record.seconds = time.perf_counter() - record.clock
        if record.outcome is None:
            status = record.status or 500
            record.outcome = kind_of_status(status) if status >= 400 else Delivery.COMPLETE
        for observer in self.observers:
            try:
                observer.ended(record)
            except Exception as error:
                # The response is sent already, and the other observers need the record.
                _log.error("an observer failed on request %s", record.id, exc_info=error)


class RecordMiddleware:
    """Middleware that adds `record` to the scope, and two headers to every response.

    `request-id` and `anthropic-organization-id` are those of the original service.
    """

    def __init__(self, app: ASGIApp, organization_id: str, recorder: Recorder) -> None:
        self._app = app
        self._organization_id = (b"anthropic-organization-id", organization_id.encode("latin-1"))
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The protocol has already created the record if it refused the body.
        record: RequestRecord = scope.get("record") or self._recorder.begin(scope)
        scope["record"] = record
        # Reset at the end, because an application in memory runs in the task of its client.
        token = REQUEST_ID.set(record.id)
        headers = ((b"request-id", record.id.encode()), self._organization_id)

        def send_and_note(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *record.headers, *headers]
                record.status = record.status or message["status"]
            return send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except BaseException:
            # A bug after the start of the response, which is aborted.
            record.outcome = record.outcome or Kind.FAILED
            raise
        finally:
            self._recorder.end(record)
            REQUEST_ID.reset(token)
