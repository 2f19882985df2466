"""Event -> bytes of a server-sent event stream, in both dialects, and back.

Every `completion` event carries `type` and `id`, without which the official Python client in
strict mode and the Java client refuse it. The clients of 2023-01-01 read them without harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Protocol

from tenuto.wire.errors import error_of
from tenuto.wire.events import Accepted, CompletionEvent, ErrorEvent, Event, Ping
from tenuto.wire.extensions import Logprobs, Usage
from tenuto.wire.ids import log_id
from tenuto.wire.text import encoded, well_formed
from tenuto.wire.versions import Version

# Line ends of Unicode, but not of event streams. Clients that split lines as Unicode does, and
# there are some, would see an event broken in two; as JSON escapes they are safe with all.
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


_END = "}\n\n"


def _quote(text: str) -> str:
    quoted = encode_basestring(text)
    if quoted.isascii():
        return quoted
    return _LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", quoted)


class Encoder(Protocol):
    """Writes the events of one completion."""

    def encode(self, event: Event, request_id: str | None = None) -> bytes:
        """One event, ending in its blank line. `request_id` goes into error events."""
        ...


def encoder_of(version: Version, completion_id: str, model: str) -> Encoder:
    """The encoder of a version.

    Args:
        version: The version of the request.
        completion_id: The `compl_…` of the completion.
        model: The model that answers.
    """
    if version is Version.V2023_01_01:
        return CumulativeEncoder(completion_id, model)
    return EventEncoder(completion_id, model)


class EventEncoder:
    """2023-06-01: named events; a client concatenates the `completion` texts.

    All that does not change from one event to the next is put together once, so that an event
    costs one JSON string and a concatenation.
    """

    def __init__(self, completion_id: str, model: str) -> None:
        quoted_id, quoted_model = json.dumps(completion_id), json.dumps(well_formed(model))
        self._head = (
            f'event: completion\ndata: {{"type":"completion","id":{quoted_id},"completion":'
        )
        self._model = f',"model":{quoted_model},"stop":'
        self._tail = f',"log_id":{quoted_id}' + _END
        self._running = f',"stop_reason":null{self._model}null{self._tail}'

    def encode(self, event: Event, request_id: str | None = None) -> bytes:
        """See `Encoder.encode`."""
        if isinstance(event, CompletionEvent):
            text = _quote(event.completion)
            if event.stop_reason is None:
                return encoded(_with_extensions(self._head + text + self._running, event))
            stop = "null" if event.stop is None else _quote(event.stop)
            reason = f',"stop_reason":"{event.stop_reason}"'
            whole = self._head + text + reason + self._model + stop + self._tail
            return encoded(_with_extensions(whole, event))
        if isinstance(event, Ping | Accepted):
            return b'event: ping\ndata: {"type":"ping"}\n\n'
        assert isinstance(event, ErrorEvent)
        body = json.dumps(event.error.body(request_id), separators=(",", ":"))
        return f"event: error\ndata: {body}\n\n".encode()


def _with_extensions(written: str, event: CompletionEvent) -> str:
    """Puts what only some requests ask for behind the last field."""
    if event.logprobs is None and event.usage is None:
        return written
    added = _extensions(event.logprobs, event.usage)
    fields = json.dumps(added, separators=(",", ":")).removeprefix("{")
    return f"{written.removesuffix(_END)},{fields}\n\n"


def _extensions(logprobs: Logprobs | None, usage: Usage | None) -> dict[str, object]:
    added: dict[str, object] = {}
    if logprobs is not None:
        added["logprobs"] = logprobs.body()
    if usage is not None:
        added["usage"] = usage.body()
    return added


class CumulativeEncoder:
    """2023-01-01: each event holds the whole text so far, and has no name.

    A named event, other than a ping, breaks the clients of that time.
    """

    def __init__(self, completion_id: str, model: str) -> None:
        self._fields: dict[str, object] = {"type": "completion", "id": completion_id}
        self._model = well_formed(model)
        self._log_id = log_id(completion_id, Version.V2023_01_01)
        self._text = ""
        self._logprobs: Logprobs | None = None

    def encode(self, event: Event, request_id: str | None = None) -> bytes:
        """See `Encoder.encode`. The last completion is followed by `[DONE]`."""
        if isinstance(event, Ping | Accepted):
            return b"event: ping\ndata: {}\n\n"
        if isinstance(event, ErrorEvent):
            return _data(event.error.body(request_id))
        self._text += event.completion
        if event.logprobs is not None:
            self._logprobs = self._logprobs or Logprobs()
            self._logprobs += event.logprobs
        data = _data(
            {
                **self._fields,
                "completion": well_formed(self._text),
                "stop_reason": event.stop_reason,
                "model": self._model,
                "stop": event.stop,
                "log_id": self._log_id,
                "truncated": False,
                "exception": None,
                **_extensions(self._logprobs, event.usage),
            }
        )
        return data if event.stop_reason is None else data + b"data: [DONE]\n\n"


def _data(body: Mapping[str, object]) -> bytes:
    # ASCII only: what clients of that time make of the rest is not known.
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


def decode(name: str, data: str) -> Event | None:
    """An event of 2023-06-01 as a client reads it: None for an unknown one, which is skipped.

    Raises:
        ValueError: The data is not what an event of this name holds.
    """
    if name == "ping":
        return Ping()
    if name not in ("completion", "error"):
        return None
    body = json.loads(data)
    if not isinstance(body, dict):
        raise ValueError(f"an event {name!r} must hold a JSON object")
    if name == "error":
        return ErrorEvent(error_of(None, body))
    text, reason, stop = (body.get(key) for key in ("completion", "stop_reason", "stop"))
    if not isinstance(text, str) or not isinstance(stop, str | None):
        raise ValueError("an event 'completion' must hold a text")
    if reason not in (None, "stop_sequence", "max_tokens"):
        raise ValueError(f"unknown stop_reason {reason!r}")
    return CompletionEvent(text, reason, stop)
