"""A streamed response, parsed into pieces of its completion without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx2

from tenuto.client.call import parse_object
from tenuto.client.error_mapping import error_of_event, error_of_transport
from tenuto.client.errors import APIError, APIStatusError, IncompleteStreamError
from tenuto.client.types import Completion
from tenuto.wire.event_source import EventSource


class StreamReader:
    """Parses the bytes of a response into the pieces of its completion. No I/O.

    `strict` makes a piece with invalid fields an error. After the caller has set `closed`, no more
    pieces are yielded.
    """

    def __init__(self, response: httpx2.Response, *, strict: bool) -> None:
        self._response = response
        self._strict = strict
        self._events = EventSource()
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._last: Completion | None = None
        self._error: APIError | None = None
        self.closed = False

    @property
    def complete(self) -> bool:
        """Whether the final event has been received."""
        return self._last is not None and self._last.stop_reason is not None

    def pieces(self, data: bytes) -> Iterator[Completion]:
        """Yield the pieces that some bytes complete, until the stream is closed.

        Raises:
            APIError: The bytes hold an `error` event, or are invalid.
        """
        for piece in () if self.closed else self._push(data):
            if self.closed:
                return
            yield piece
        if self._error is not None and not self.closed:
            raise self._error

    def _push(self, data: bytes) -> list[Completion]:
        """Parse all events in some bytes, up to an error, which becomes `_error`."""
        pieces: list[Completion] = []
        try:
            for name, content in self._events.push(data):
                if name == "completion":
                    pieces.append(self._piece(content))
                elif name == "error":
                    self._error = error_of_event(self._response, content)
                    break
        except APIError as error:
            self._error = error
        except ValueError as error:
            self._error = self._incomplete(f"{error}.")
        return pieces

    def end(self) -> list[Completion]:
        """Return the last piece if the blank line after it is missing, as from some servers.

        Raises:
            APIError: The response ended before its final event, or in an error.
        """
        if self.complete or self.closed:
            return []
        rest = self._push(b"\n\n")
        if self.complete:
            return rest
        if isinstance(self._error, APIStatusError):
            raise self._error
        kind = self._response.headers.get("content-type", "none")
        if not kind.startswith("text/event-stream"):
            why = f"the response is not a stream, its content type is {kind}."
        else:
            why = "the server or a proxy closed the connection. The text may be cut off."
        self._error = self._incomplete(why)
        raise self._error

    @contextmanager
    def transport_errors(self) -> Iterator[None]:
        """Convert transport errors; ignore those after the final event or after closing."""
        try:
            yield
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            if not (self.closed or self.complete):
                self._error = error_of_transport(error, self._response.request)
                raise self._error from error

    def final(self) -> Completion:
        """Return all pieces joined into one completion.

        Raises:
            APIError: The stream ended in an error, or was closed before its final event.
        """
        if self._error is not None:
            raise self._error
        if self._last is None or not self.complete:
            raise self._incomplete("it was closed here.")
        whole: dict[str, object] = {"completion": "".join(self._texts)}
        if self._logprobs:
            whole["logprobs"] = _joined(self._logprobs)
        return self._last.model_copy(update=whole)

    def _piece(self, content: str) -> Completion:
        piece = parse_object(Completion, content, self._response, self._strict)
        self._texts.append(piece.completion)
        # Each piece holds the log probabilities of its own tokens.
        extra = piece.model_extra
        if extra and isinstance(logprobs := extra.get("logprobs"), dict):
            self._logprobs.append(logprobs)
        self._last = piece
        return piece

    def _incomplete(self, why: str) -> IncompleteStreamError:
        return IncompleteStreamError(self._response.request, text="".join(self._texts), why=why)


def _joined(logprobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Concatenate the lists of all pieces; of other values the last one counts."""
    whole: dict[str, Any] = {}
    for piece in logprobs:
        for name, value in piece.items():
            before = whole.get(name)
            if isinstance(before, list) and isinstance(value, list):
                whole[name] = before + value
            else:
                whole[name] = value
    return whole
