"""Marks around the texts of a conversation, to find them in what a chat template makes of it.

A mark is a character for private use that occurs in none of the texts. Marks stand around each
text, inside of the white space at its ends, because templates trim. The first character of whatever
spells a special token in a text is replaced by another mark, so that all special tokens that are
found in the result are the template's own, also where a text and the template together spell one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tenuto.engine.local.special import RenderedPrompt, SpecialTokens

# The two planes for private use, each without its last two code points, which are none.
_PLANES: Final = ((0xF0000, 0xFFFFE), (0x100000, 0x10FFFE))
_PRIVATE: Final = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010fffd]")

# Texts with marks of their own; all others share one pair. More turns than fit most contexts.
_MOST_PAIRS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Way:
    """How texts are marked.

    Attributes:
        bounds: Whether marks stand around them. Some templates look at how a text begins.
        tags: Whether tokens of other types than control stay as they are in what the assistant
            said. Some templates look for `</think>` there, and leave out what is before it.
    """

    bounds: bool
    tags: bool


@dataclass(frozen=True, slots=True)
class Read:
    """What a marked rendering says.

    Attributes:
        prompt: It without the marks, with the places of its control tokens.
        present: The numbers of the texts of which it holds the beginning or the end.
    """

    prompt: RenderedPrompt
    present: frozenset[int]

    def holds(self, number: int) -> bool:
        """Return whether a text is there; of texts that share marks, whether any is."""
        return min(number, _MOST_PAIRS) in self.present


@dataclass(slots=True)
class Marks:
    """The marks for some texts.

    Args:
        special: The special tokens to look for; None for none.
        texts: All texts that are marked, or rendered with them.
    """

    special: SpecialTokens | None
    texts: Sequence[str]
    _free: Iterator[str] = field(init=False)
    _bounds: dict[int, tuple[str, str]] = field(init=False, default_factory=dict)
    # Character -> the mark that replaces it.
    _escapes: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # ASCII is told at once, and most texts are.
        texts = (text for text in self.texts if not text.isascii())
        taken = {mark for text in texts for mark in _PRIVATE.findall(text)}
        points = (point for plane in _PLANES for point in range(*plane))
        self._free = (chr(point) for point in points if chr(point) not in taken)

    def ways(self, answers: Iterable[str]) -> list[Way]:
        """Return the ways to mark texts that differ, the most certain first.

        Args:
            answers: The texts of the assistant.
        """
        special = self.special
        if special is None:
            return [Way(bounds=True, tags=False)]
        tagged = any(
            special.starts(text) != special.starts(text, control_only=True) for text in answers
        )
        kinds = (False, True) if tagged else (False,)
        return [Way(bounds, tags) for bounds in (True, False) for tags in kinds]

    def mark(self, number: int, role: str, text: str, way: Way) -> str:
        """Mark a text, which is known by its number from now on."""
        if self.special is not None:
            control_only = way.tags and role == "assistant"
            text = self._escaped(self.special.starts(text, control_only=control_only), text)
        core = text.strip()
        if not core or not way.bounds:
            return text
        begin, end = self._pair(number)
        start = len(text) - len(text.lstrip())
        return f"{text[:start]}{begin}{core}{end}{text[start + len(core) :]}"

    def read(self, rendered: str) -> Read:
        """Take the marks out of what was rendered with them."""
        numbers = {mark: number for number, pair in self._bounds.items() for mark in pair}
        found = [match for match in _PRIVATE.finditer(rendered) if match[0] in numbers]
        places = [match.start() for match in found]
        characters = {mark: character for character, mark in self._escapes.items()}

        def unmark(match: re.Match[str]) -> str:
            return "" if match[0] in numbers else characters.get(match[0], match[0])

        control: tuple[tuple[int, int], ...] | None = None
        if self.special is not None:
            spans = self.special.find(rendered)
            control = tuple(
                (start - (before := bisect_left(places, start)), end - before)
                for start, end in spans
            )
        prompt = RenderedPrompt(_PRIVATE.sub(unmark, rendered), control)
        return Read(prompt, frozenset(numbers[match[0]] for match in found))

    def _pair(self, number: int) -> tuple[str, str]:
        number = min(number, _MOST_PAIRS)
        if number not in self._bounds:
            self._bounds[number] = next(self._free), next(self._free)
        return self._bounds[number]

    def _escaped(self, starts: Sequence[int], text: str) -> str:
        characters = list(text) if starts else []
        for start in starts:
            character = text[start]
            if character not in self._escapes:
                self._escapes[character] = next(self._free)
            characters[start] = self._escapes[character]
        return "".join(characters) if starts else text
