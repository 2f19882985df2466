"""Marks around the texts of a conversation, to find them in the output of a chat template.

A mark is a private-use character that occurs in none of the texts. Marks enclose each text, inside
of the white space at its ends, because templates trim. Where a text spells a special token, another
mark replaces the first character, so that all special tokens in the output are the template's own,
also where a text and the template together spell one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from tenuto.engine.local.special import RenderedPrompt, SpecialTokens

# The two planes for private use, each without its last two code points, which are invalid.
_PLANES: Final = ((0xF0000, 0xFFFFE), (0x100000, 0x10FFFE))
_PRIVATE: Final = re.compile("[\U000f0000-\U000ffffd\U00100000-\U0010fffd]")

# Texts after this number share one pair of marks. Most contexts do not hold so long a chat.
_MOST_PAIRS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Way:
    """A way to mark texts.

    Attributes:
        bounds: Whether marks enclose them. Some templates examine the beginning of a text.
        tags: Whether tokens of other types than control are left unmarked in texts of the
            assistant. Some templates search for `</think>`, and leave out the text before it.
    """

    bounds: bool
    tags: bool


@dataclass(frozen=True, slots=True)
class Read:
    """A rendering without its marks.

    Attributes:
        prompt: The text, with the places of its control tokens.
        present: Numbers of the texts whose beginning or end it contains.
    """

    prompt: RenderedPrompt
    present: frozenset[int]

    def holds(self, number: int) -> bool:
        """Return whether a text is present; for texts that share marks, whether any is."""
        return min(number, _MOST_PAIRS) in self.present


@dataclass(slots=True)
class Marks:
    """The marks for some texts.

    Args:
        special: The special tokens to search for; None to search for none.
        texts: All texts that are marked or rendered.
    """

    special: SpecialTokens | None
    texts: Sequence[str]
    _free: Iterator[str] = field(init=False)
    _bounds: dict[int, tuple[str, str]] = field(init=False, default_factory=dict)
    # Character -> the mark that replaces it.
    _escapes: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        # Skip ASCII, which is most text and fast to detect.
        texts = (text for text in self.texts if not text.isascii())
        taken = {mark for text in texts for mark in _PRIVATE.findall(text)}
        points = (point for plane in _PLANES for point in range(*plane))
        self._free = (chr(point) for point in points if chr(point) not in taken)

    def ways(self, answers: Iterable[str]) -> list[Way]:
        """Return the distinct ways to mark, the most certain first, by the assistant's texts."""
        special = self.special
        if special is None:
            return [Way(bounds=True, tags=False)]
        tagged = any(
            special.starts(text) != special.starts(text, control_only=True) for text in answers
        )
        kinds = (False, True) if tagged else (False,)
        return [Way(bounds, tags) for bounds in (True, False) for tags in kinds]

    def mark(self, number: int, role: str, text: str, way: Way) -> str:
        """Return a text with its marks; its number identifies it in `Read.present`."""
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
        """Remove the marks from a rendering."""
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
