"""HTTP below ASGI: limits and rules of HTTP/1 that uvicorn leaves open.

Uvicorn parses and writes; this adds bounds on the head of a request and on connections, refusals
in the API's own envelope, HTTP/1.0, pipelining, and requests that offer an upgrade.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenuto.core.refusal import Kind, Refusal, invalid, overloaded
from tenuto.operations.records import Delivery
from tenuto.server.recorder import Recorder
from tenuto.server.response_cycle import ResponseCycle
from tenuto.settings import Settings
from tenuto.wire.errors import error_body, status_of
from tenuto.wire.ids import request_id

_REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    529: "Overloaded",
}
# How long a refused client may go on sending before its connection is closed. Closing at once
# would reset the connection, and many clients then lose the answer.
_LINGER_S = 1.0
# Connections beyond the limit that are answered, and how long they may take to ask.
_MOST_CROWDED = 256
_CROWDED_S = 5.0
# Requests that may wait behind a running response, and bytes that are kept of what follows them.
_MOST_PIPELINED = 16
_MOST_BYTES_AHEAD = 64 * 1024
# Chunks may be of one byte each: a size, two line ends and the byte.
_MOST_FRAMING = 8


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `bounded_protocol` makes the class that uvicorn is given."""

    settings: ClassVar[Settings]
    recorder: ClassVar[Recorder]

    # Uvicorn declares whole seconds, its own response, and few kinds of applications.
    timeout_keep_alive: Any
    parser: Any
    cycle: Any
    pipeline: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False  # Of a request whose first byte is here.
        self._in_body = False
        self._upgrading = False
        self._refused = False
        self._ending = False  # The server is shutting down.
        self._crowded = False
        self._head_bytes = 0
        self._raw_bytes = 0
        self._body_bytes = 0
        self._ahead = bytearray()
        self._deadline: asyncio.TimerHandle | None = None
        self._active: ResponseCycle | None = None
        self._deferred: Refusal | None = None
        # Uvicorn's own option takes whole seconds only.
        self.timeout_keep_alive = self.settings.server.keep_alive_s

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        limits = self.settings.limits
        beyond = len(self.connections) - limits.max_connections
        self._crowded = beyond > 0
        if beyond > _MOST_CROWDED:
            transport.abort()
        else:
            self._expect_head(_CROWDED_S if self._crowded else math.inf)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._refused:
            return
        if self._crowded:
            # Not earlier: an answer on a connection without a request confuses connection pools.
            self._refuse(overloaded("Too many connections. Try again in a moment."))
        elif self.pipeline:
            self._hold(data)
        else:
            self._parse(data)

    def eof_received(self) -> None:
        """Close, as uvicorn does: a client that has ended its side has left."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        active, waiting = self._active, [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        super().connection_lost(exc)
        # Uvicorn tells the newest request only, which with pipelining need not be the running one.
        if active is not None and not active.response_complete:
            active.disconnected = True
            active.message_event.set()
        for cycle in waiting:
            self._record_unanswered(cycle.scope)

    def shutdown(self) -> None:
        """Close when idle; else answer what has begun to arrive, and close after it."""
        self._ending = True
        if not self._in_head or (self._active is not None and not self._active.response_complete):
            super().shutdown()

    # Parsing.

    def _parse(self, data: bytes) -> None:
        limits = self.settings.limits
        was_in_body = self._in_body
        if was_in_body:
            self._raw_bytes += len(data)
        self._feed(data)
        if self._refused:
            return
        if self._in_head:
            # All of a packet counts with the head in it; a packet has at most 256 KiB, and only a
            # head that is incomplete after it can be too large.
            self._head_bytes += 0 if was_in_body else len(data)
            if self._head_bytes > limits.max_header_bytes:
                self._refuse(
                    Refusal(
                        Kind.HEAD_TOO_LARGE,
                        f"The request's head exceeds {limits.max_header_bytes} bytes",
                    )
                )
            elif self._deadline is None:
                self._expect_head()
        elif self._in_body:
            if self._raw_bytes > _MOST_FRAMING * self._body_bytes + limits.max_header_bytes:
                self._refuse(invalid("Invalid HTTP request: too little in its chunks"))
        elif self._deadline is None and (self._active is None or self._active.response_complete):
            self._expect_head()  # Empty lines after a request: nothing has begun.

    def _feed(self, data: bytes) -> None:
        while not self._refused:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes the rest for another protocol and skips the body. No other one
                # is spoken here, so the request is parsed again without its offer.
                if self._upgrading:
                    data = self._head_without_upgrade() + data[upgrade.args[0] :]
                    self._new_parser()
                    continue
            except httptools.HttpParserError as error:
                self._refuse(invalid(_invalid(data, error)))
            return

    def _new_parser(self) -> None:
        self._upgrading = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        first = b" ".join((self.parser.get_method(), self.url, b"HTTP/" + version))
        lines = [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join((first, *lines, b"", b""))

    def _hold(self, data: bytes) -> None:
        """Keep what follows a pipelined request until its turn comes.

        Reading goes on, because only a read notices that the client has left.
        """
        self._ahead += data
        if len(self._ahead) > _MOST_BYTES_AHEAD:
            self._take_no_more()

    def _take_no_more(self) -> None:
        """Close after the responses that are due. Clients send the rest again."""
        self._refused = True
        self._ahead.clear()
        self.cycle.keep_alive = False
        if self.cycle.more_body:  # It will never be whole.
            self.pipeline.remove((self.cycle, self.app))
            self._record_unanswered(self.cycle.scope)
            waiting = [cycle for cycle, _ in self.pipeline]
            last = waiting[0] if waiting else self._active
            if last is not None:
                last.keep_alive = False

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_body, self._head_bytes = True, False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # And not in the trailers of a chunked body.
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_clock()
        method = self.parser.get_method().decode("ascii")
        self.scope["method"] = method
        if self._refused:
            return
        if method == "CONNECT":
            self._refuse(
                Refusal(
                    Kind.METHOD_NOT_ALLOWED, "Method Not Allowed: CONNECT. This is not a proxy."
                )
            )
            return
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        try:
            target = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self._refuse(invalid("Invalid HTTP request: its target is not a valid URL"))
            return
        version = self.parser.get_http_version()
        raw_path = target.path or b"/"
        self.scope["http_version"] = version
        self.scope["raw_path"] = raw_path
        self.scope["path"] = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        self.scope["query_string"] = target.query or b""
        self._in_body, self._raw_bytes, self._body_bytes = True, 0, 0
        self._answer(version)

    def on_body(self, body: bytes) -> None:
        if self._refused or self._upgrading or self.cycle.response_complete:
            return
        self._body_bytes += len(body)
        self.cycle.body += body
        # Not for a request that waits behind another: see `_hold`.
        if len(self.cycle.body) > HIGH_WATER_LIMIT and self.cycle is self._active:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._in_body = False
        if not (self._refused or self._upgrading):
            super().on_message_complete()

    # Answers.

    def _answer(self, version: str) -> None:
        newest = self.cycle
        cycle = ResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # Clients of HTTP/1.0 do not know of it.
            expect_100_continue=self.expect_100_continue and version >= "1.1",
            keep_alive=self.parser.should_keep_alive() and not self._ending,
            on_response=self.on_response_complete,
        )
        self.cycle = cycle
        if newest is None or newest.response_complete:
            self._start_asgi_task(cycle, self.app)
            return
        self.pipeline.appendleft((cycle, self.app))
        if len(self.pipeline) > _MOST_PIPELINED:
            self._take_no_more()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() or self.pipeline:
            return
        if self._ahead:
            data = bytes(self._ahead)
            self._ahead.clear()
            self._unset_keepalive_if_required()
            self._parse(data)
        if self._deferred is not None and (self._active is None or self._active.response_complete):
            self._write_refusal(self._deferred, self._record_refusal(self._deferred))

    def send_400_response(self, msg: str) -> None:
        self._refuse(invalid(msg))

    # The clock of the head.

    def _expect_head(self, at_most_s: float = math.inf) -> None:
        within_s = min(at_most_s, self.settings.limits.head_timeout_s)
        self._deadline = self.loop.call_later(within_s, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self._in_head:
            limit = self.settings.limits.head_timeout_s
            self._refuse(
                Refusal(Kind.TOO_SLOW, f"The request's head did not arrive within {limit:g} s")
            )
        else:
            # Nobody asked, so nobody is answered: clients connect in advance.
            self.transport.close()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # Refusals.

    def _refuse(self, error: Refusal) -> None:
        """Answer without the application and close, after the responses that are due."""
        self._stop_clock()
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        active = self._active
        if active is None or active.response_complete:
            self._write_refusal(error, self._record_refusal(error))
        elif self._in_body and active is self.cycle and not active.response_started:
            # The error is in the body that the application waits for.
            active.disconnected = True
            active.message_event.set()
            scope: Any = active.scope
            # The application, which may not have begun yet, completes it.
            record = scope.setdefault("record", self.recorder.begin(scope, request_id()))
            record.status, record.outcome = status_of(error.kind), error.kind
            self._write_refusal(error, record.id)
        else:
            self._deferred = error

    def _record_refusal(self, error: Refusal) -> str:
        """Record a refusal that does not reach the application. Return the request's id."""
        record = self.recorder.begin(self._known(), request_id())
        record.status, record.outcome = status_of(error.kind), error.kind
        self.recorder.end(record)
        return record.id

    def _write_refusal(self, error: Refusal, name: str) -> None:
        body = json.dumps(error_body(error, name), separators=(",", ":")).encode()
        status = status_of(error.kind)
        reason = _REASONS.get(status, "Error")
        head = (
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nrequest-id: {name}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._deadline = self.loop.call_later(_LINGER_S, self.transport.close)

    def _record_unanswered(self, scope: Any) -> None:
        record = self.recorder.begin(scope, request_id())
        record.outcome = Delivery.DISCONNECTED
        self.recorder.end(record)

    def _known(self) -> dict[str, Any]:
        """What is known of the request that is refused, as an ASGI scope."""
        scope: dict[str, Any] = {"client": self.client, "headers": []}
        url = getattr(self, "url", b"")
        if url and not self._crowded:
            scope["headers"] = self.headers
            scope["method"] = self.parser.get_method().decode("ascii")
            scope["path"] = url.partition(b"?")[0].decode("latin-1")
        return scope


def bounded_protocol(settings: Settings, recorder: Recorder) -> type[BoundedProtocol]:
    """Return the protocol with its settings.

    Args:
        settings: All settings.
        recorder: Gets a record of each request that is refused here.
    """
    fields = {"settings": settings, "recorder": recorder}
    return type("ConfiguredProtocol", (BoundedProtocol,), fields)


def _invalid(data: bytes, error: Exception) -> str:
    if data.startswith(b"\x16\x03"):
        return "Invalid HTTP request: this port speaks http://, not https://"
    # The parser's words are fixed texts, without anything of the request.
    return f"Invalid HTTP request received: {error}"
