"""HTTP below ASGI: what uvicorn leaves open about slow, huge and malformed requests."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenuto.settings import LimitSettings
from tenuto.wire.errors import ApiError, HeadTooLarge, InvalidRequest, Overloaded, RequestTimeout
from tenuto.wire.ids import request_id

_REASONS = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def bounded_protocol(limits: LimitSettings) -> type[HttpToolsProtocol]:
    """Uvicorn's HTTP protocol, with bounds on the head of a request and on connections."""

    class BoundedProtocol(HttpToolsProtocol):
        _head_bytes = 0
        _in_head = True
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > limits.max_connections:
                self._refuse(Overloaded("Too many connections. Try again in a moment."))
                return
            self._expect_head()

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                if self._deadline is None:
                    self._expect_head()  # Of a further request on this connection.
                self._head_bytes += len(data)
                # Whatever came with the head in the same packet counts too; a packet is at most
                # 256 KiB, and only a head that is not complete after it can be too large.
                super().data_received(data)
                if self._in_head and self._head_bytes > limits.max_header_bytes:
                    self._refuse(
                        HeadTooLarge(f"The request's head exceeds {limits.max_header_bytes} bytes")
                    )
                return
            super().data_received(data)

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._stop_clock()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if not self._in_head:
                self._in_head, self._head_bytes = True, 0

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_clock()
            super().connection_lost(exc)

        def send_400_response(self, msg: str) -> None:
            self._refuse(InvalidRequest(msg))

        def _expect_head(self) -> None:
            self._deadline = self.loop.call_later(limits.head_timeout_s, self._too_slow)

        def _too_slow(self) -> None:
            self._refuse(
                RequestTimeout(
                    f"The request's head did not arrive within {limits.head_timeout_s:g} s"
                )
            )

        def _stop_clock(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _refuse(self, error: ApiError) -> None:
            """Answers without the application, in the same envelope, and closes."""
            self._stop_clock()
            if self.transport.is_closing():
                return
            name = request_id()
            body = json.dumps(error.body(name), separators=(",", ":")).encode()
            reason = _REASONS.get(error.status, "Error")
            head = (
                f"HTTP/1.1 {error.status} {reason}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nrequest-id: {name}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
            self.transport.close()

    return BoundedProtocol
