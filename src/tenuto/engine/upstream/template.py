"""Read the usual event of a stream without parsing its JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pydantic_core import from_json

_PROBE: Final = "probe"
# Some servers send fields that differ in every event, such as a count of tokens.
_MOST_ATTEMPTS: Final = 4


class EventTemplate:
    """The constant part of a stream's events.

    Nearly all events of a stream differ in their text alone. Once one of them has been parsed, the
    others are recognised by the constant part before and after the text.
    """

    def __init__(self) -> None:
        self._before = self._after = ""
        self._attempts = 0

    def text_in(self, block: str) -> str | None:
        """Return the text of an event like the learned one; None for another event."""
        before, after = self._before, self._after
        if not (before and block.startswith(before) and block.endswith(after)):
            return None
        text = block[len(before) : -len(after)]
        # The end of a line would begin another field of the event.
        if not text.isprintable() or len(block) < len(before) + len(after):
            return None
        if '"' not in text and "\\" not in text:
            return text
        try:
            value = from_json(f'"{text}"')
        except ValueError:
            return None  # Not one JSON string, or with half of a surrogate pair.
        return value if isinstance(value, str) else None

    def learn(self, block: str, text: str, texts_in: Callable[[str], list[str] | None]) -> None:
        """Learn from an event.

        Args:
            block: The event.
            text: The only text that was read from it.
            texts_in: Returns the texts that are read from an event; None if anything else is. A
                proof that nothing else in the event depends on the text.
        """
        if self._attempts == _MOST_ATTEMPTS:
            return
        self._attempts += 1
        before, found, after = block.partition(f'"{text}"')
        if not found:
            return  # The text is written with escapes.
        before, after = before + '"', '"' + after
        if texts_in(before + _PROBE + after) == [_PROBE]:
            self._before, self._after = before, after
