"""One log line for each request, whatever became of it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from tenuto.core.events import End, Ended
from tenuto.core.refusal import Kind
from tenuto.server.client_address import TrustedProxies
from tenuto.stream.meter import Meter
from tenuto.wire.completions.extensions import usage_body
from tenuto.wire.completions.response import stop_fields
from tenuto.wire.errors import kind_of_status, type_of

_log = logging.getLogger("tenuto.request")

# Longest texts of clients that the log repeats, in characters.
_LONGEST_PATH = 128
_LONGEST_NAME = 64
# Asked by machines every few seconds.
_PROBES = ("/health", "/ready")
# Refusals that an operator should see; other 4xx are the caller's own mistakes.
_NOTABLE = (401, 403)
_NOTABLE_ENDS = ("api_error", "overloaded_error", "timeout_error")


@dataclass(slots=True)
class RequestRecord:
    """What is known of a request; complete when it has ended.

    Attributes:
        id: Its `request-id`.
        address: The client's.
        method: Of HTTP, `-` if the request was refused before it was known.
        path: Without the query string, which may hold secrets.
        began: When its head was complete, on the clock of `time.perf_counter`.
        status: Of the response; None if none was sent.
        model: The name that was asked for.
        stream: Whether a stream was asked for.
        upstream: The upstream that answered.
        meter: Counts the tokens of a completion.
        end: Why it ended: a `stop_reason`, the type of an error, `client_left`; None for what its
            status says.
        ms: How long it took, once it has ended.
    """

    id: str
    address: str
    method: str
    path: str
    began: float
    status: int | None = None
    model: str | None = None
    stream: bool | None = None
    upstream: str | None = None
    meter: Meter | None = None
    end: str | None = None
    ms: float = 0.0

    def fields(self) -> dict[str, object]:
        """All fields, in the order and under the names of the log."""
        fields: dict[str, object] = {
            "request_id": self.id,
            "address": self.address,
            "method": printable(self.method, _LONGEST_NAME),
            "path": printable(self.path, _LONGEST_PATH),
            "status": self.status,
            "ms": self.ms,
        }
        if self.model is not None:
            fields["model"] = printable(self.model, _LONGEST_NAME)
            fields["stream"] = self.stream
            if self.upstream is not None:
                fields["upstream"] = printable(self.upstream, _LONGEST_NAME)
            if self.meter is not None:
                fields |= usage_body(self.meter.usage())
        fields["end"] = self.end
        return fields

    def __str__(self) -> str:
        """The fields as `name=value`; written out, since every request passes here."""
        status = "none" if self.status is None else self.status
        text = (
            f"request_id={self.id} address={self.address} "
            f"method={_value(self.method, _LONGEST_NAME)} path={_value(self.path, _LONGEST_PATH)} "
            f"status={status} ms={self.ms} "
        )
        if self.model is not None:
            text += f"model={_value(self.model, _LONGEST_NAME)} stream={str(self.stream).lower()} "
            if self.upstream is not None:
                text += f"upstream={_value(self.upstream, _LONGEST_NAME)} "
            if self.meter is not None:
                for name, value in usage_body(self.meter.usage()).items():
                    text += f"{name}={'unknown' if value is None else value} "
        return f"{text}end={self.end}"

    def level(self) -> int:
        """How much an operator should care."""
        if self.path in _PROBES and self.method in ("GET", "HEAD"):
            return logging.DEBUG
        status = self.status or 0
        notable = status in _NOTABLE or status >= 500 or self.end in _NOTABLE_ENDS
        return logging.WARNING if notable else logging.INFO


class RequestLog:
    """Makes the records of requests, and logs them.

    Args:
        proxies: Whose word on a client's address counts.
        enabled: Whether anything is logged.
    """

    def __init__(self, proxies: TrustedProxies, *, enabled: bool = True) -> None:
        self._proxies = proxies
        self._enabled = enabled

    def begin(self, scope: Any, request_id: str) -> RequestRecord:
        """The record of a request that begins.

        Args:
            scope: Of ASGI, as far as it is known.
            request_id: Its name.
        """
        return RequestRecord(
            request_id,
            self._proxies.client_of(scope),
            scope.get("method", "-"),
            scope.get("path", "-"),
            time.perf_counter(),
        )

    def write(self, record: RequestRecord) -> None:
        """Log a request that has ended."""
        if not self._enabled:
            return
        record.ms = round(1000 * (time.perf_counter() - record.began), 1)
        if record.end is None and record.meter is not None:
            record.end = _end_of(record.meter.outcome)
        if record.end is None:
            status = record.status or 500
            record.end = type_of(kind_of_status(status)) if status >= 400 else "ok"
        level = record.level()
        if _log.isEnabledFor(level):
            # Not `_log.log`, which would look for the caller's line in the stack every time.
            _log.handle(_log.makeRecord(_log.name, level, "", 0, record, (), None))


def _end_of(outcome: End | Kind | None) -> str | None:
    """Return the name of an outcome in the log, which is that of the API."""
    if isinstance(outcome, Kind):
        return type_of(outcome)
    return None if outcome is None else stop_fields(Ended(outcome))[0]


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
