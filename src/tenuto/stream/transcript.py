"""Keep the text of a completion while it is passed on."""

from __future__ import annotations

from tenuto.core.events import Ended


class Transcript:
    """The text and the end of one completion, as the pipe writes them.

    Args:
        most_chars: Longest text that is kept; of a longer one the parts up to there are.

    Attributes:
        chars: Characters that are kept, at least.
        ended: The last event; None if the completion failed, or was left before.
        too_long: Whether the text was longer.
    """

    __slots__ = ("_is_closed", "_most_chars", "_texts", "chars", "ended", "too_long")

    def __init__(self, most_chars: int) -> None:
        self._most_chars = most_chars
        self._texts: list[str] = []
        self._is_closed = False
        self.chars = 0
        self.ended: Ended | None = None
        self.too_long = False

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    def add(self, text: str) -> None:
        """Keep the next part of the text."""
        chars = self.chars + len(text)
        if chars > self._most_chars:
            # Nothing follows the gap: any text is too long from now on.
            self.too_long, chars = True, self._most_chars
        else:
            self._texts.append(text)
        self.chars = chars

    def close(self, ended: Ended | None = None) -> None:
        """End the text: the completion has ended, failed, or is left. The first call counts."""
        if not self._is_closed:
            self._is_closed, self.ended = True, ended
            self.done()

    def done(self) -> None:
        """Do nothing. A subclass may take the text here; called once, at the end."""
