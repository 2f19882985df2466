"""HTTP/1 on top of uvicorn's protocol: pipelining, offers of an upgrade, HTTP/1.0."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tenuto.core.refusal import Kind, Refusal, invalid
from tenuto.server.client_gone import EXTENSION
from tenuto.server.recorder import Recorder
from tenuto.server.response_cycle import ResponseCycle

# Maximum of queued requests on a connection, and of bytes that follow them.
_MOST_PIPELINED = 16
_MOST_BYTES_AHEAD = 64 * 1024
# How long the first request of a connection may be on its way when the server shuts down.
_FIRST_REQUEST_S = 0.5


class Http1Protocol(HttpToolsProtocol):
    """One connection. A subclass adds limits, and sends refusals."""

    recorder: ClassVar[Recorder]

    # Uvicorn's types are narrower: its own response class.
    parser: Any
    cycle: Any
    pipeline: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False  # Between the first byte of a head and its end.
        self._in_body = False
        self._upgrading = False
        self._refused = False
        self._draining = False  # The server is shutting down.
        self._head_bytes = 0
        self._raw_bytes = 0  # Of the body, with the framing of its chunks.
        self._body_bytes = 0
        self._ahead = bytearray()
        self._active: ResponseCycle | None = None

    def refuse(self, refusal: Refusal) -> None:
        """Send a refusal without the application and close, after the outstanding responses."""
        raise NotImplementedError

    def parse(self, data: bytes) -> None:
        """Parse bytes; the parser calls the methods below."""
        while not self._refused:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser skips the body, as if another protocol followed. No upgrade is
                # supported, so parse the request again without the offer.
                if self._upgrading:
                    method, version = self.parser.get_method(), self.parser.get_http_version()
                    head = _head_without_upgrade(method, self.url, version, self.headers)
                    data = head + data[upgrade.args[0] :]
                    self._upgrading = False
                    self.parser = httptools.HttpRequestParser(self)
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                    continue
            except httptools.HttpParserError as error:
                self.refuse(_parse_error(data, error))
            return

    def is_busy(self) -> bool:
        """Return whether a response is outstanding."""
        return self._active is not None and not self._active.response_complete

    def eof_received(self) -> None:
        """Close the connection, as uvicorn does."""

    def connection_lost(self, exc: Exception | None) -> None:
        queued = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        super().connection_lost(exc)
        # Uvicorn notifies only the newest request, which may be a queued one.
        if self._active is not None and not self._active.response_complete:
            self._active.disconnect()
        for cycle in queued:
            self.recorder.dropped(cycle.scope)

    def shutdown(self) -> None:
        """Close when idle; else close after the response to what has begun to arrive."""
        self._draining = True
        if self.cycle is None and not self._in_head:
            # Clients repeat a lost request of a connection that they reuse, not that of a new one.
            self.loop.call_later(_FIRST_REQUEST_S, self._close_if_unused)
        elif not self._in_head or self.is_busy():
            super().shutdown()

    def _close_if_unused(self) -> None:
        if self.cycle is None and not self._in_head:
            self.transport.close()

    def _hold(self, data: bytes) -> None:
        """Keep the bytes after a queued request. Reading goes on, to notice a disconnect."""
        self._ahead += data
        if len(self._ahead) > _MOST_BYTES_AHEAD:
            self._accept_no_more()

    def _accept_no_more(self) -> None:
        """Close after the outstanding responses. Clients send the rest again."""
        self._refused = True
        self._ahead.clear()
        self.cycle.keep_alive = False
        if self.cycle.more_body:  # The rest of its body is dropped.
            self.pipeline.remove((self.cycle, self.app))
            self.recorder.dropped(self.cycle.scope)
            last = self.pipeline[0][0] if self.pipeline else self._active
            if last is not None:
                last.keep_alive = False

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._in_body, self._head_bytes = True, False, 0

    def on_headers_complete(self) -> None:
        self._in_head = False
        method = self.parser.get_method().decode("ascii")
        self.scope["method"] = method
        if self._refused:
            return
        if method == "CONNECT":
            message = "Method Not Allowed: CONNECT. This is not a proxy."
            self.refuse(Refusal(Kind.METHOD_NOT_ALLOWED, message))
            return
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        try:
            target = httptools.parse_url(self.url)
        except httptools.HttpParserInvalidURLError:
            self.refuse(invalid("Invalid HTTP request: its target is not a valid URL"))
            return
        version = self.parser.get_http_version()
        raw_path = target.path or b"/"
        self.scope["http_version"] = version
        self.scope["raw_path"] = raw_path
        self.scope["path"] = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        self.scope["query_string"] = target.query or b""
        self._in_body, self._raw_bytes, self._body_bytes = True, 0, 0
        self._respond(version)

    def on_body(self, body: bytes) -> None:
        if self._refused or self._upgrading or self.cycle.response_complete:
            return
        self._body_bytes += len(body)
        self.cycle.body += body
        # Not for a queued request: see `_hold`.
        if len(self.cycle.body) > HIGH_WATER_LIMIT and self.cycle is self._active:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._in_body = False
        if not (self._refused or self._upgrading):
            super().on_message_complete()

    # Responses.

    def _respond(self, version: str) -> None:
        self.headers = []  # For the trailers of a chunked body, which nobody reads.
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
            # HTTP/1.0 has no `expect`.
            expect_100_continue=self.expect_100_continue and version >= "1.1",
            keep_alive=self.parser.should_keep_alive() and not self._draining,
            on_response=self.on_response_complete,
        )
        self.scope["extensions"] = {EXTENSION: cycle.extension()}
        self.cycle = cycle
        if newest is None or newest.response_complete:
            self._start_asgi_task(cycle, self.app)
            return
        self.pipeline.appendleft((cycle, self.app))
        if len(self.pipeline) > _MOST_PIPELINED:
            self._accept_no_more()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ahead and not (self.transport.is_closing() or self.pipeline):
            data = bytes(self._ahead)
            self._ahead.clear()
            self._unset_keepalive_if_required()
            self.parse(data)


def _parse_error(data: bytes, error: Exception) -> Refusal:
    if data.startswith(b"\x16\x03"):
        return invalid("Invalid HTTP request: this port speaks http://, not https://")
    # The parser's messages are constants, without text of the request.
    return invalid(f"Invalid HTTP request received: {error}")


def _head_without_upgrade(
    method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    first = b" ".join((method, target, b"HTTP/" + version.encode()))
    lines = [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join((first, *lines, b"", b""))
