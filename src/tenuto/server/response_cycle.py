"""Uvicorn's response, with the rules of HTTP/1.0 and of unread bodies, in fewer writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_UNPRINTABLE: Final = bytes({*range(0x20), 0x7F} - {ord("\t")})
# A larger body is not copied to join it with the head.
_MOST_JOINED_BYTES: Final = 16 * 1024


class ResponseCycle(RequestResponseCycle):
    """One request and its response.

    The head of a response with a length is written with the first part of its body, which saves a
    packet and a system call.
    """

    # Uvicorn does not annotate the first.
    keep_alive: bool
    expected_content_length: int
    chunked_encoding: bool | None
    disconnected: bool
    response_started: bool
    response_complete: bool
    waiting_for_100_continue: bool
    transport: asyncio.Transport
    _head = b""
    _has_body = True
    _is_stream = False
    _on_disconnect: Callable[[], None] | None = None

    async def run_asgi(self, app: Any) -> None:
        """Run the application, as uvicorn does."""
        try:
            await super().run_asgi(app)
        finally:
            # Its functions refer to this object. A cycle would wait for a garbage collection.
            self.scope.pop("extensions", None)

    def extension(self) -> dict[object, object]:
        """Return functions for the ASGI scope, which save a task and a timer for each request.

        `subscribe` is the method of this class. `has_message` returns whether `receive` will return
        without waiting. `cut` ends the connection amid a response, as a broken network does.
        """
        return {
            "subscribe": self.subscribe,
            "has_message": self.message_event.is_set,
            "cut": self.cut,
        }

    def cut(self) -> None:
        """End the connection, after the bytes that were sent."""
        self.disconnect()
        self.transport.close()

    def subscribe(self, on_disconnect: Callable[[], None]) -> Callable[[], None]:
        """Call a function when the client disconnects. Return a function that ends that."""
        self._on_disconnect = on_disconnect
        if self.disconnected:
            on_disconnect()
        return self._unsubscribe

    def _unsubscribe(self) -> None:
        self._on_disconnect = None

    def disconnect(self) -> None:
        """Report to the application that the client has disconnected."""
        self.disconnected = True
        self.message_event.set()
        if self._on_disconnect is not None:
            self._on_disconnect()

    async def send(self, message: Any) -> None:
        """Send a message of the application. See ASGI.

        Raises:
            RuntimeError: The application breaks the rules of ASGI or of HTTP.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected or self.response_complete:
            raise RuntimeError(f"unexpected message {message['type']!r}")
        if self.response_started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self._start(message["status"], message.get("headers", ()))

    def _start(self, status: int, headers: Any) -> None:
        self.response_started, self.waiting_for_100_continue = True, False
        fields = [*self.default_headers, *headers]
        by_name = dict(fields)
        length, tokens = by_name.get(b"content-length"), by_name.get(b"connection", b"").lower()
        lines = [*map(b": ".join, fields)]
        self._has_body = self.scope["method"] != "HEAD" and status not in (204, 304)
        self._is_stream = is_stream = self._has_body and length is None
        is_http_1_0 = self.scope["http_version"] < "1.1"
        if self.more_body or b"close" in tokens or (is_stream and is_http_1_0):
            # The next bytes may be the rest of the body, or the next request. The end of the
            # connection ends a response without a length, because HTTP/1.0 has no chunks.
            self.keep_alive = False
        if not tokens and not self.keep_alive:
            lines.append(b"connection: close")
        elif not tokens and is_http_1_0:
            lines.append(b"connection: keep-alive")
        self.chunked_encoding = is_stream and not is_http_1_0
        if self.chunked_encoding:
            lines.append(b"transfer-encoding: chunked")
        self.expected_content_length = int(length or 0) if self._has_body else 0
        head = b"\r\n".join((*lines, b"", b""))
        # At once, because a loop over all fields takes longer than everything else here. The ends
        # of the lines are the only bytes of this kind.
        if len(head.translate(None, _UNPRINTABLE)) + 2 * len(lines) + 2 < len(head):
            name = next(name for name, value in fields if _has_unprintable(name + value))
            raise RuntimeError(f"unprintable value of the header {name!r}")
        head = STATUS_LINE[status] + head
        if self.expected_content_length:
            self._head = head
        else:
            self.transport.write(head)

    def _send_body(self, body: bytes, more: bool) -> None:
        if self.chunked_encoding:
            end = b"" if more else b"0\r\n\r\n"
            body = b"%x\r\n%b\r\n%b" % (len(body), body, end) if body else end
        elif not self._has_body:
            body = b""
        elif not self._is_stream:
            self.expected_content_length -= len(body)
            left = self.expected_content_length
            if left < 0 or (left and not more):
                raise RuntimeError("the body differs from its content-length")
        if self._head and len(body) <= _MOST_JOINED_BYTES:
            body = self._head + body
        elif self._head:
            self.transport.write(self._head)
        self._head = b""
        self.transport.write(body)
        if not more:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()


def _has_unprintable(text: bytes) -> bool:
    return text.translate(None, _UNPRINTABLE) != text
