"""One log line for each request, whatever its outcome."""

from __future__ import annotations

import logging

from tenuto.core.events import End, Ended
from tenuto.core.refusal import Kind
from tenuto.operations.records import Delivery, Outcome, RequestRecord
from tenuto.wire.completions.extensions import usage_body
from tenuto.wire.completions.response import stop_fields
from tenuto.wire.errors import type_of

_log = logging.getLogger("tenuto.request")

# Longest texts of clients that the log repeats, in characters.
_LONGEST_PATH = 128
_LONGEST_NAME = 64
# Asked by machines every few seconds.
_PROBES = ("/health", "/ready")
# Refusals that an operator should see; other 4xx are the caller's own mistakes.
_NOTABLE = (401, 403)
_DELIVERIES = {Delivery.COMPLETE: "ok", Delivery.DISCONNECTED: "client_left"}
_NOTABLE_ENDS = ("api_error", "overloaded_error", "timeout_error")


class RequestLine:
    """The line of one request in the log.

    Args:
        record: The complete record.
    """

    __slots__ = ("end", "record")

    def __init__(self, record: RequestRecord) -> None:
        self.record = record
        self.end = _name_of(record.outcome)

    def fields(self) -> dict[str, object]:
        """Return all fields, in the order and under the names of the log."""
        record = self.record
        fields: dict[str, object] = {
            "request_id": record.id,
            "address": record.address,
            "method": printable(record.method, _LONGEST_NAME),
            "path": printable(record.path, _LONGEST_PATH),
            "status": record.status,
            "ms": _ms(record),
        }
        if record.requested_model is not None:
            fields["model"] = printable(record.requested_model, _LONGEST_NAME)
            fields["stream"] = record.stream
            if record.upstream is not None:
                fields["upstream"] = printable(record.upstream, _LONGEST_NAME)
            if record.usage is not None:
                fields |= usage_body(record.usage)
        fields["end"] = self.end
        return fields

    def __str__(self) -> str:
        """Return the fields as `name=value`; written out, since every request passes here."""
        record = self.record
        status = "none" if record.status is None else record.status
        text = (
            f"request_id={record.id} address={record.address} "
            f"method={_value(record.method, _LONGEST_NAME)} "
            f"path={_value(record.path, _LONGEST_PATH)} "
            f"status={status} ms={_ms(record)} "
        )
        if record.requested_model is not None:
            stream = str(record.stream).lower()
            text += f"model={_value(record.requested_model, _LONGEST_NAME)} stream={stream} "
            if record.upstream is not None:
                text += f"upstream={_value(record.upstream, _LONGEST_NAME)} "
            if record.usage is not None:
                for name, value in usage_body(record.usage).items():
                    text += f"{name}={'unknown' if value is None else value} "
        return f"{text}end={self.end}"

    def level(self) -> int:
        """Return the level of the line."""
        record = self.record
        if record.path in _PROBES and record.method in ("GET", "HEAD"):
            return logging.DEBUG
        status = record.status or 0
        notable = status in _NOTABLE or status >= 500 or self.end in _NOTABLE_ENDS
        return logging.WARNING if notable else logging.INFO


class RequestLog:
    """An observer that logs a line for each request."""

    def ended(self, record: RequestRecord) -> None:
        """Log a request that has ended."""
        line = RequestLine(record)
        level = line.level()
        if _log.isEnabledFor(level):
            # Not `_log.log`, which would search the stack for the calling line every time.
            _log.handle(_log.makeRecord(_log.name, level, "", 0, line, (), None))


def _ms(record: RequestRecord) -> float:
    return round(1000 * record.seconds, 1)


def _name_of(outcome: Outcome | None) -> str | None:
    """Return the name of an outcome in the log: that of the API where it has one."""
    if isinstance(outcome, Kind):
        return type_of(outcome)
    if isinstance(outcome, End):
        return stop_fields(Ended(outcome))[0]
    return None if outcome is None else _DELIVERIES[outcome]


def printable(text: str, most: int) -> str:
    """A client's text for the log: at most so long, and without anything that moves a cursor.

    Characters that are not printable are escaped as in JSON, so that no text can end a line, look
    like another one, or write to a terminal.
    """
    cut = text if len(text) <= most else text[: most - 1] + "…"
    if cut.isprintable() and "\\" not in cut:
        return cut
    return "".join(char if char.isprintable() and char != "\\" else _escape(char) for char in cut)


def _escape(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def _value(text: str, most: int) -> str:
    """A client's text in a `name=value` line, which never looks like several values."""
    return printable(text, most).translate(_DELIMITERS)


_DELIMITERS = {ord(char): _escape(char) for char in ' "='}
