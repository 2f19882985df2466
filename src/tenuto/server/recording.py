"""Record a response while it is sent, and send a recorded one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.types import Message, Send

from tenuto.operations.idempotency.records import KeptResponse

REPLAYED: Final = "idempotent-replayed"

# About the request, the connection or the moment, and wrong in a replay.
_OTHER_HEADERS: Final = frozenset({b"request-id", b"retry-after", b"connection", b"date"})
_OTHER_PREFIX: Final = b"anthropic-ratelimit-"
# A slow client then holds little of a long response in the connection's buffer.
_PIECE_BYTES: Final = 64 * 1024


class Recording:
    """Passes a response on, and records it.

    Args:
        send: Sends the messages.
        hold: Returns whether this number of further bytes may be recorded.
        complete: Takes the whole response before its last message is sent, so that a client that
            received all of it gets it again. Not called if `hold` returned false.
    """

    def __init__(
        self,
        send: Send,
        hold: Callable[[int], bool],
        complete: Callable[[KeptResponse], Awaitable[None]],
    ) -> None:
        self.begun: bool = False
        self._send = send
        self._hold = hold
        self._complete = complete
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._body: bytearray | None = bytearray()

    async def send(self, message: Message) -> None:
        """Record and send a message of ASGI."""
        if message["type"] == "http.response.start":
            self.begun = True
            self._status = message["status"]
            self._headers = tuple(
                (name, value)
                for name, value in message.get("headers", ())
                if name not in _OTHER_HEADERS and not name.startswith(_OTHER_PREFIX)
            )
        elif self._body is not None:
            await self._add(self._body, message)
        await self._send(message)

    async def _add(self, body: bytearray, message: Message) -> None:
        part = message.get("body", b"")
        if part and not self._hold(len(part)):
            self._body = None
            return
        body += part
        if not message.get("more_body", False):
            self._body = None
            await self._complete(KeptResponse(self._status, self._headers, bytes(body)))


async def replay(response: KeptResponse, send: Send) -> None:
    """Send a recorded response, with the header `idempotent-replayed`."""
    headers = [*response.headers, (REPLAYED.encode(), b"true")]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = memoryview(response.body)
    for start in range(0, len(body), _PIECE_BYTES):
        piece = bytes(body[start : start + _PIECE_BYTES])
        more = start + _PIECE_BYTES < len(body)
        await send({"type": "http.response.body", "body": piece, "more_body": more})
    if not body:
        await send({"type": "http.response.body", "body": b""})
