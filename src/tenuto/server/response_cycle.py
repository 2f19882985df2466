"""Uvicorn's response, with the rules of HTTP/1.0 and of unread bodies, in fewer writes."""

from __future__ import annotations

from asyncio import Transport
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# A larger body is not copied.
_MOST_JOINED_BYTES: Final = 16 * 1024


class _JoiningTransport:
    """A transport that writes a held head with the first part of its body, in one packet."""

    __slots__ = ("_held", "_transport", "holds")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._held = b""
        self.holds: bool = False

    def write(self, data: bytes) -> None:
        if self.holds:
            self._held, self.holds = data, False
        elif self._held and len(data) <= _MOST_JOINED_BYTES:
            self._transport.write(self._held + data)
            self._held = b""
        else:
            self.flush()
            self._transport.write(data)

    def flush(self) -> None:
        if self._held:
            self._transport.write(self._held)
            self._held = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class ResponseCycle(RequestResponseCycle):
    """One request and its response."""

    # Uvicorn does not annotate the first.
    keep_alive: bool
    expected_content_length: int
    chunked_encoding: bool | None
    disconnected: bool
    transport: Any
    _until_close = False
    _on_disconnect: Callable[[], None] | None = None

    def __init__(self, *, transport: Transport, **options: Any) -> None:
        super().__init__(transport=_JoiningTransport(transport), **options)  # type: ignore[arg-type]

    def subscribe(self, on_disconnect: Callable[[], None]) -> Callable[[], None]:
        """Call a function when the client disconnects. Return a function that ends that.

        In the ASGI scope this is `extensions["tenuto.disconnect"]["subscribe"]`.
        """
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
        """Send a message of the application. See ASGI."""
        if not self.response_started and message["type"] == "http.response.start":
            if self.more_body:
                # The next bytes may be the rest of the body, or the next request.
                self.keep_alive = False
            if self.scope["http_version"] < "1.1":
                message = self._for_http_1_0(message)
            self.transport.holds = self.scope["method"] != "HEAD"
            await super().send(message)
            if self.chunked_encoding is not False or self._until_close:
                self.transport.flush()  # A stream, whose first part may take long.
            return
        if self._until_close and message["type"] == "http.response.body":
            # Uvicorn counts down from `content-length`, which is absent.
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)

    def _for_http_1_0(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the start of a response for HTTP/1.0, which has no chunks.

        The end of the connection ends a response without a length. Otherwise the connection is kept
        if the client requested so, with a `connection` header.
        """
        headers = list(message.get("headers", []))
        sized = any(name.lower() == b"content-length" for name, _ in headers)
        if not (sized or self.scope["method"] == "HEAD" or message["status"] in (204, 304)):
            self.chunked_encoding = False
            self._until_close = True
            self.keep_alive = False
        elif self.keep_alive and not any(name.lower() == b"connection" for name, _ in headers):
            headers.append((b"connection", b"keep-alive"))
        return message | {"headers": headers}
