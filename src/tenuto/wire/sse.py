"""Event -> bytes of a server-sent event stream, and back; version 2023-06-01.

A client concatenates the `completion` texts; every `completion` event carries `type` and `id`,
without which the official Python client in strict mode and the Java client refuse it.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring

from tenuto.wire.errors import error_of
from tenuto.wire.events import CompletionEvent, ErrorEvent, Event, Ping

PING = b'event: ping\ndata: {"type":"ping"}\n\n'

# Line ends of Unicode, but not of event streams. Clients that split lines as Unicode does, and
# there are some, would see an event broken in two; as JSON escapes they are safe with all.
_LINE_ENDS = re.compile("[\x85\u2028\u2029]")


def _quote(text: str) -> str:
    quoted = encode_basestring(text)
    if quoted.isascii():
        return quoted
    return _LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", quoted)


class EventEncoder:
    """Writes the events of one completion.

    All that does not change from one event to the next is put together once, so that an event
    costs one JSON string and a concatenation.

    Args:
        completion_id: The `compl_…` of the completion.
        model: The model that answers.
    """

    def __init__(self, completion_id: str, model: str) -> None:
        quoted_id, quoted_model = json.dumps(completion_id), json.dumps(model)
        self._head = (
            f'event: completion\ndata: {{"type":"completion","id":{quoted_id},"completion":'
        )
        self._model = f',"model":{quoted_model},"stop":'
        self._tail = f',"log_id":{quoted_id}}}\n\n'
        self._running = f',"stop_reason":null{self._model}null{self._tail}'

    def encode(self, event: Event, request_id: str | None = None) -> bytes:
        """One event, ending in its blank line. `request_id` goes into error events."""
        if isinstance(event, CompletionEvent):
            text = _quote(event.completion)
            if event.stop_reason is None:
                return (self._head + text + self._running).encode()
            stop = "null" if event.stop is None else _quote(event.stop)
            reason = f',"stop_reason":"{event.stop_reason}"'
            return (self._head + text + reason + self._model + stop + self._tail).encode()
        if isinstance(event, Ping):
            return PING
        assert isinstance(event, ErrorEvent)
        body = json.dumps(event.error.body(request_id), separators=(",", ":"))
        return f"event: error\ndata: {body}\n\n".encode()


def decode(name: str, data: str) -> Event | None:
    """An event as a client reads it: None for one whose name is not known, which is skipped.

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
