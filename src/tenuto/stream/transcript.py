"""Keep the text of a completion while it is passed on."""

from __future__ import annotations

from collections.abc import Callable

from tenuto.core.events import Ended


class Transcript:
    """The text and the end of one completion, as the pipe writes them.

    Args:
        most_chars: Longest text that is kept; of a longer one the parts up to there are.
        done: Called once with this object, when the completion has ended, failed, or is left.

    Attributes:
        ended: The last event; None if the completion failed, or was left before.
        too_long: Whether the text was longer.
    """

    __slots__ = ("_closed", "_done", "_most_chars", "_size", "_texts", "ended", "too_long")

    def __init__(self, most_chars: int, done: Callable[[Transcript], None] | None = None) -> None:
        self._most_chars = most_chars
        self._done = done
        self._texts: list[str] = []
        self._size = 0
        self._closed = False
        self.ended: Ended | None = None
        self.too_long = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def add(self, text: str) -> None:
        """Keep the next part of the text."""
        self._size += len(text)
        if self._size <= self._most_chars:
            self._texts.append(text)
        else:
            self.too_long = True

    def close(self, ended: Ended | None = None) -> None:
        """End the text. Only the first call counts."""
        if not self._closed:
            self._closed, self.ended = True, ended
            if self._done is not None:
                self._done(self)
                # Refers to this object.
                self._done = None
