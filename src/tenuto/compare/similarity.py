"""The similarity of two texts, without a network and in linear time."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final, NamedTuple

MOST_CHARS: Final = 20_000
"""Characters of each text that count: more would take milliseconds."""

# A character of a script without spaces is a word.
_SPACELESS: Final = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


class Likeness(NamedTuple):
    """The likeness of two texts.

    Attributes:
        normalised: Whether they are equal without case and white space.
        similarity: See `likeness`.
    """

    normalised: bool
    similarity: float


def likeness(a: str, b: str) -> Likeness:
    """Return how much two texts have in common, from 0 to 1.

    It is Dice's coefficient of their words and pairs of neighbouring words, each counted once and
    without case: 1 for the same words in the same order. It measures sameness, not quality. Only
    the beginning of long texts counts.
    """
    if a == b:
        return Likeness(True, 1.0)
    words_a, words_b = a.casefold().split(), b.casefold().split()
    if words_a == words_b:
        return Likeness(True, 1.0)
    words_a, words_b = _counted(a, words_a), _counted(b, words_b)
    total = common = 0
    # Words and pairs apart: two small sets cost less than one of both.
    for first, second in (
        (set(words_a), set(words_b)),
        (set(pairwise(words_a)), set(pairwise(words_b))),
    ):
        total += len(first) + len(second)
        common += len(first & second)
    # The beginning that counts may be white space alone.
    return Likeness(False, 2 * common / total if total else 1.0)


def _counted(text: str, words: list[str]) -> list[str]:
    """Return the words of the part of a text that counts."""
    if not text.isascii():
        return _SPACELESS.sub(r" \g<0> ", text[:MOST_CHARS].casefold()).split()
    return words if len(text) <= MOST_CHARS else text[:MOST_CHARS].casefold().split()
