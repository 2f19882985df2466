"""Bytes of a response in, JSON objects out: events, one object, or several.

The first byte decides the form, because servers send wrong content types, answer requests for a
stream with one object, and plain requests with a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from pydantic_core import from_json

from tenuto.engine.upstream.error_responses import error_in
from tenuto.engine.upstream.errors import (
    INVALID_RESPONSE,
    TOO_LARGE,
    ErrorPolicy,
    Fault,
    UpstreamError,
)
from tenuto.engine.upstream.json_text import json_values
from tenuto.engine.upstream.template import EventTemplate
from tenuto.wire.event_source import EventSource, EventTooLong, event_of

MAX_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of one event and of a plain response, and most characters of a streamed one."""

_MAX_HELD: Final = 256 * 1024 * 1024
_SMALL: Final = 64 * 1024

# Events whose data must be JSON. Others do not belong to the API.
_API_EVENTS: Final = frozenset(
    ("", "message", "completion", "error", "content_block_delta", "message_start", "message_delta")
)
_NAMED: Final = _API_EVENTS - {"", "message", "error"}
_SUSPICIOUS: Final = frozenset(("error", "object"))

_SPACE: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

Item = tuple[str, dict[str, Any] | list[str] | UpstreamError | None]
"""An event's name, or "", with its object, or the error that it reports; with None for `[DONE]`.

With a list: the texts of consecutive events that differ in nothing else, see `EventTemplate`.
"""


class Objects:
    """Parser of one response. The bytes that it holds count until `release`.

    Attributes:
        complete: Whether the response was plain JSON and came to its end.
    """

    _total: ClassVar[int] = 0
    """Bytes that the unfinished responses of this process hold."""

    def __init__(self, policy: ErrorPolicy) -> None:
        self._policy = policy
        self._events: EventSource | None = None
        self._template = EventTemplate()
        self._block = ""
        self._buffer = bytearray()
        self._is_json = False
        self._counted = 0
        self.complete: bool = False

    def release(self) -> None:
        """Forget the bytes held. To be called when the response is over."""
        self._count(0)

    def push(self, data: bytes) -> Iterator[Item]:
        """Take some bytes; yield the items that they complete.

        Raises:
            UpstreamError: The response is too large.
        """
        if self._events is not None:
            return self._parse_events(self._events, data)
        return self._buffered(data)

    def end(self) -> Iterator[Item]:
        """Yield the remaining items at the end of the response; all of them if it is JSON."""
        if self._events is not None:
            last = self._events.end()
            if last is not None:
                yield from self._parse(last.name, last.data, may_be_cut=True)
        elif self._is_json:
            yield from self._parse("", bytes(self._buffer))

    def _buffered(self, data: bytes) -> Iterator[Item]:
        self._buffer += data
        if not self._is_json:
            if _BYTE_ORDER_MARK.startswith(self._buffer):
                return
            # Some servers send blank lines as a keep-alive before a plain response.
            self._buffer = self._buffer.removeprefix(_BYTE_ORDER_MARK).lstrip(_SPACE)
            if self._buffer.startswith((b"{", b"[")):
                self._is_json = True
            elif self._buffer:
                self._events = EventSource(MAX_BYTES)
                data, self._buffer = bytes(self._buffer), bytearray()
                yield from self._parse_events(self._events, data)
                return
        self._count(len(self._buffer))

    def _parse_events(self, events: EventSource, data: bytes) -> Iterator[Item]:
        try:
            blocks = events.blocks(data)
        except EventTooLong:
            raise UpstreamError(TOO_LARGE) from None
        if events.held or self._counted:
            self._count(events.held)
        template, texts = self._template, list[str]()
        for block in blocks:
            text = template.text_in(block)
            if text is not None:
                texts.append(text)
                continue
            if texts:
                yield "", texts
                texts = []
            # For `learn`, which the reader of the item may call.
            self._block = block
            yield from self._parse_block(block)
        if texts:
            yield "", texts

    def learn(self, text: str, texts_of: Callable[[str, dict[str, Any]], list[str] | None]) -> None:
        """Recognise events like the last one, whose text was `text`, without parsing their JSON.

        `texts_of` returns the texts that an event adds; None if it does anything else.
        """

        def texts_in(block: str) -> list[str] | None:
            items = list(self._parse_block(block))
            value = items[0][1] if len(items) == 1 else None
            return texts_of(items[0][0], value) if isinstance(value, dict) else None

        if self._block:
            self._template.learn(self._block, text, texts_in)

    def _parse_block(self, block: str) -> Iterator[Item]:
        event = event_of(block)
        if event is None:
            return
        # The usual event, at half the cost of `_parse`.
        name = event.name
        try:
            value = from_json(event.data)
        except ValueError:
            yield from self._parse(name, event.data)
            return
        if name in _NAMED and type(value) is dict and not value.keys() & _SUSPICIOUS:
            yield name, value
        else:
            yield from self._item(name, value)

    def _parse(self, name: str, data: str | bytes, *, may_be_cut: bool = False) -> Iterator[Item]:
        """Yield the items in the data of one event, or in a plain response."""
        try:
            values, rest = json_values(data)
        except ValueError:
            text = data.strip()
            if text == "[DONE]":
                yield name, None
            elif text and not may_be_cut and name in _API_EVENTS:
                error = error_in(name, data, self._policy) if name == "error" else None
                yield name, error or UpstreamError(INVALID_RESPONSE)
            return
        self.complete = self._is_json
        for value in values:
            yield from self._item(name, value)
        if rest.removeprefix("data:").strip() == "[DONE]":
            yield name, None

    def _item(self, name: str, value: object) -> Iterator[Item]:
        error = error_in(name, value, self._policy)
        if error is not None:
            yield name, error
        elif isinstance(value, dict):
            # Some servers omit the names of events, which the object repeats.
            kind = value.get("type") if name in ("", "message") else None
            yield kind if isinstance(kind, str) else name, value
        elif value is not None and name in _API_EVENTS:
            yield name, UpstreamError(INVALID_RESPONSE)

    def _count(self, held: int) -> None:
        """Record how many bytes this response holds; raise if it or all together hold too many."""
        Objects._total += held - self._counted
        self._counted = held
        if held > MAX_BYTES:
            raise UpstreamError(TOO_LARGE)
        if held > _SMALL and Objects._total > _MAX_HELD:
            raise UpstreamError("Overloaded", 529, Fault.LIMIT)
