"""Bytes of an answer in, JSON objects out: events, one object, or several.

The form is that of the first byte, because servers get the content type wrong, answer requests
for a stream with one object, and plain requests with a stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

from pydantic_core import from_json

from tenuto.engine.upstream.failures import TOO_LARGE, UpstreamError, Whose, error_in, garbage
from tenuto.engine.upstream.json_text import json_values
from tenuto.wire.event_source import EventSource, EventTooLong, ServerSentEvent

MAX_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of one event, of an answer in one piece, and most characters of a streamed one."""

_MAX_HELD: Final = 256 * 1024 * 1024
_SMALL: Final = 64 * 1024

# Events whose data must be JSON. What others say is not of the API.
_MEANT: Final = frozenset(
    ("", "message", "completion", "error", "content_block_delta", "message_start", "message_delta")
)

_NAMED: Final = _MEANT - {"", "message", "error"}
_SUSPICIOUS: Final = frozenset(("error", "object"))

_SPACE: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Said = tuple[str, dict[str, Any] | UpstreamError | None]
"""An event's name, or "", and its object; the error that it stands for; None: `[DONE]`."""


class _Held:
    """Bytes that unfinished answers hold in this process, all together."""

    def __init__(self) -> None:
        self.total = 0


_held: Final = _Held()


class Objects:
    """Takes an answer's bytes, as a `with` block: what it holds counts until its end.

    Args:
        whose: What errors are judged by.

    Attributes:
        whole: Whether the answer was JSON, and came to its end.
    """

    def __init__(self, whose: Whose) -> None:
        self._whose = whose
        self._events: EventSource | None = None
        self._buffer = bytearray()
        self._is_json = False
        self._counted = 0
        self.whole: bool = False

    def __enter__(self) -> Objects:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count(0)

    def push(self, data: bytes) -> Iterator[Said]:
        """Take some bytes; give what they complete.

        Raises:
            UpstreamError: They are more than an answer can be.
        """
        if self._events is not None:
            return self._of_events(self._events, data)
        return self._of_the_rest(data)

    def end(self) -> Iterator[Said]:
        """The answer has ended; give what is left: all of it, if it is JSON."""
        if self._events is not None:
            last = self._events.end()
            if last is not None:
                # Cut in the middle it is not JSON, and no event.
                yield from self._of_event(last, is_cut=True)
        elif self._is_json:
            yield from self._of_json()

    def _of_the_rest(self, data: bytes) -> Iterator[Said]:
        self._buffer += data
        if not self._is_json:
            if _BYTE_ORDER_MARK.startswith(self._buffer):
                return
            # Empty lines keep a connection open while an answer in one piece is written.
            self._buffer = self._buffer.removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
            if self._buffer.startswith((b"{", b"[")):
                self._is_json = True
            elif self._buffer:
                self._events = EventSource(MAX_BYTES)
                data, self._buffer = bytes(self._buffer), bytearray()
                yield from self._of_events(self._events, data)
                return
        self._count(len(self._buffer))

    def _of_events(self, events: EventSource, data: bytes) -> Iterator[Said]:
        try:
            complete = events.push(data)
        except EventTooLong:
            raise UpstreamError(TOO_LARGE, status=500, again=True) from None
        if events.held or self._counted:
            self._count(events.held)
        for event in complete:
            # What nearly all events are, at half the cost.
            name = event.name
            try:
                value = from_json(event.data)
            except ValueError:
                yield from self._of_event(event)
                continue
            if name in _NAMED and type(value) is dict and not value.keys() & _SUSPICIOUS:
                yield name, value
            else:
                yield from self._of_value(name, value)

    def _of_event(self, event: ServerSentEvent, *, is_cut: bool = False) -> Iterator[Said]:
        name, data = event
        if not data or data.isspace():
            return
        if data == "[DONE]":
            yield name, None
            return
        try:
            values, rest = json_values(data)
        except ValueError:
            if data.strip() == "[DONE]":
                yield name, None
            elif is_cut or name not in _MEANT:
                pass
            else:
                error = error_in(name, data, self._whose) if name == "error" else None
                yield name, error or garbage()
            return
        for value in values:
            yield from self._of_value(name, value)
        if rest and rest.removeprefix("data:").strip() == "[DONE]":
            yield name, None

    def _of_json(self) -> Iterator[Said]:
        try:
            values, rest = json_values(bytes(self._buffer))
        except ValueError:
            yield "", garbage()
            return
        self.whole = True
        for value in values:
            yield from self._of_value("", value)
        if rest.removeprefix("data:").strip() == "[DONE]":
            yield "", None

    def _of_value(self, name: str, value: object) -> Iterator[Said]:
        error = error_in(name, value, self._whose)
        if error is not None:
            yield name, error
        elif isinstance(value, dict):
            # Some servers leave the names of events out; the object has it as well.
            kind = value.get("type") if name in ("", "message") else None
            yield kind if isinstance(kind, str) else name, value
        elif value is not None and name in _MEANT:
            yield name, garbage()

    def _count(self, held: int) -> None:
        """Note how many bytes this answer holds.

        Raises:
            UpstreamError: It is too large, or all answers together are.
        """
        _held.total += held - self._counted
        self._counted = held
        if held > MAX_BYTES:
            raise UpstreamError(TOO_LARGE, status=500, again=True)
        if held > _SMALL and _held.total > _MAX_HELD:
            raise UpstreamError("Overloaded", status=529, again=True, is_failure=False)
