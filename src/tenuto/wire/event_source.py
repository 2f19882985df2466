r"""Bytes in, server-sent events out: the reader's half of the stream format.

The format is that of the HTML standard, section "Server-sent events": lines end in `\n`, `\r\n`
or `\r`, a blank line ends an event, a byte order mark may stand at the start, and lines that
begin with a colon are comments. Bytes may be cut anywhere, also within a character or between
`\r` and `\n`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_EVENT_BYTES: Final = 32 * 1024 * 1024
"""Longest event that is kept; the official Go client has the same limit."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class EventTooLong(ValueError):
    """An event has more bytes than are kept."""


class ServerSentEvent(NamedTuple):
    """One event.

    Attributes:
        name: What its `event` field said, "" without one.
        data: Its `data` fields, joined with newlines.
    """

    name: str
    data: str


class EventSource:
    """Takes a stream's bytes as they come, and gives the events that are whole.

    Args:
        max_event_bytes: The longest event that is kept; None: `MAX_EVENT_BYTES`.
    """

    def __init__(self, max_event_bytes: int | None = None) -> None:
        self._max_event_bytes = MAX_EVENT_BYTES if max_event_bytes is None else max_event_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._first = True
        self._after_cr = False

    @property
    def held(self) -> int:
        """Bytes of an event that is not whole yet."""
        return len(self._buffer)

    def end(self) -> ServerSentEvent | None:
        """The event that the stream's end leaves without a blank line; None if there is none.

        The standard drops it. Servers of the field forget the blank line, so whoever can tell
        from its data that it is whole may take it.
        """
        rest, self._buffer = bytes(self._buffer), bytearray()
        if self._first:
            rest = rest.removeprefix(_BYTE_ORDER_MARK)
        return _event(rest.decode("utf-8", "replace").rstrip("\n"))

    def push(self, data: bytes) -> list[ServerSentEvent]:
        """Takes some bytes.

        Returns:
            The events that they complete; for what is left at the stream's end, see `end`.

        Raises:
            EventTooLong: An event is longer than `max_event_bytes`.
        """
        if self._after_cr or b"\r" in data:
            data = self._only_newlines(data)
        self._buffer += data
        end = self._buffer.rfind(b"\n\n", max(0, self._searched - 1))
        self._searched = len(self._buffer)
        if end < 0:
            if self._searched > self._max_event_bytes:
                raise EventTooLong(
                    f"an event of the stream is longer than {self._max_event_bytes} bytes"
                )
            return []
        whole = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._searched = len(self._buffer)
        if self._first:
            self._first = False
            whole = whole.removeprefix(_BYTE_ORDER_MARK)
        # Cut at bytes that are no part of a longer character, so decoding sees whole ones.
        blocks = whole.decode("utf-8", "replace").split("\n\n")
        return [event for block in blocks if (event := _event(block)) is not None]

    def _only_newlines(self, data: bytes) -> bytes:
        """The same bytes with one kind of line end, across pushes too."""
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
            if not data:
                return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _event(block: str) -> ServerSentEvent | None:
    """The event of some lines; None if they hold none."""
    head, _, rest = block.partition("\ndata: ")
    if rest and "\n" not in rest and "\n" not in head and head.startswith("event: "):
        # What nearly all events look like, read at a third of the cost.
        return ServerSentEvent(head[7:], rest)
    name, data = "", list[str]()
    for line in block.split("\n"):
        field, _, value = line.partition(":")
        if field == "event":
            name = value.removeprefix(" ")
        elif field == "data":
            data.append(value.removeprefix(" "))
    return ServerSentEvent(name, "\n".join(data)) if name or data else None
