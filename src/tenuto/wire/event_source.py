r"""Parse server-sent events from bytes.

The format is that of the HTML standard, section "Server-sent events": lines end in `\n`, `\r\n`
or `\r`, a blank line ends an event, a byte order mark may stand at the start, and lines that
begin with a colon are comments. Bytes may be cut anywhere, also within a character or between
`\r` and `\n`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""Maximum length of an event, the same as in the official Go client."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventTooLong(ValueError):
    """An event is longer than the limit."""


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        name: The `event` field, "" without one.
        data: The `data` fields, joined with newlines.
    """

    name: str
    data: str


class EventSource:
    """A push parser: bytes in, complete events out. The limit is `MAX_EVENT_BYTES` by default."""

    def __init__(self, max_event_bytes: int | None = None) -> None:
        self._max_event_bytes = MAX_EVENT_BYTES if max_event_bytes is None else max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._first = True
        self._after_cr = False

    @property
    def held(self) -> int:
        """Number of bytes of the incomplete event."""
        return len(self._buffer)

    def end(self) -> ServerSentEvent | None:
        """Return the event that the stream ends without a blank line, or None.

        The standard drops it. Some servers omit the last blank line, so a caller that can check
        the data for completeness may use it.
        """
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._first:
            rest = rest.removeprefix(_BYTE_ORDER_MARK)
        return event_of(rest.decode("utf-8", "replace").rstrip("\n"))

    def push(self, data: bytes) -> list[ServerSentEvent]:
        """Add bytes and return the events that they complete.

        Raises:
            EventTooLong: An event is longer than `max_event_bytes`.
        """
        blocks = self.blocks(data)
        return [event for block in blocks if (event := event_of(block)) is not None]

    def blocks(self, data: bytes) -> list[str]:
        r"""Add bytes and return the lines of each event that they complete, for `event_of`.

        The lines end in `\n`, except for the last one of an event. Some blocks are no events.

        Raises:
            EventTooLong: An event is longer than `max_event_bytes`.
        """
        if self._after_cr or b"\r" in data:
            data = self._only_newlines(data)
        if self._buffer or not data.endswith(b"\n\n"):
            whole = self._buffered(data)
            if whole is None:
                return []
        else:
            whole = data[:-2]
        if self._first:
            self._first = False
            whole = whole.removeprefix(_BYTE_ORDER_MARK)
        # Split at ASCII bytes, so every block holds complete characters.
        return whole.decode("utf-8", "replace").split("\n\n")

    def _buffered(self, data: bytes) -> bytes | None:
        """Add bytes to the buffer; return the complete events without the last blank line."""
        self._buffer += data
        end = self._buffer.rfind(b"\n\n", max(0, self._searched - 1))
        self._searched = len(self._buffer)
        if end < 0:
            if self._searched > self._max_event_bytes:
                raise EventTooLong(
                    f"an event of the stream is longer than {self._max_event_bytes} bytes"
                )
            return None
        whole = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._searched = len(self._buffer)
        return whole

    def _only_newlines(self, data: bytes) -> bytes:
        r"""Return the bytes with `\n` as the only line end, also across pushes."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def event_of(block: str) -> ServerSentEvent | None:
    """Return the event of a block of lines; None without fields."""
    head, _, rest = block.partition("\ndata: ")
    if rest and "\n" not in rest and "\n" not in head and head.startswith("event: "):
        # The form of nearly all events, parsed at a third of the cost.
        return ServerSentEvent(head[7:], rest)
    name, data = "", list[str]()
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return ServerSentEvent(name, "\n".join(data)) if name or data else None
