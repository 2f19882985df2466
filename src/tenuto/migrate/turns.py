"""The marks of turns in the texts of prompts: a blank line, then `Human:` or `Assistant:`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

SIGN: Final = re.compile(r"(?:Human|Assistant):|(?:HUMAN|AI)_PROMPT\}")
"""A text without it has no mark."""
_BLANK: Final = r"\n[ \t]{0,40}\n\s{0,40}"
_EXACT_HUMAN: Final = re.compile(rf"{_BLANK}Human:|\{{(?:\w{{1,40}}\.)?HUMAN_PROMPT\}}")
_EXACT_ASSISTANT: Final = re.compile(rf"{_BLANK}Assistant:|\{{(?:\w{{1,40}}\.)?AI_PROMPT\}}")
_HUMAN: Final = re.compile(rf"(?:\A\s{{0,40}}|\n\s{{0,40}})Human:|{_EXACT_HUMAN.pattern}")
_ASSISTANT: Final = re.compile(rf"\n\s{{0,40}}Assistant:|{_EXACT_ASSISTANT.pattern}")
_PART: Final = re.compile(r"\s{0,40}(Human|Assistant):")
_FIRST: Final = re.compile(rf"{_BLANK}(?:Human|Assistant):")
_NAMED: Final = re.compile(r"\{(?:HUMAN|AI)_PROMPT\}")
_ALONE: Final = re.compile(r"\s*(?:Human|Assistant):?\s*")
# `Prompts must begin with "\n\nHuman:"` speaks of a mark.
_QUOTED: Final = re.compile(r"([\"'`])\s{0,9}(?:Human|Assistant):\s?\1")
# The margin of a text of several lines in Scala and Kotlin.
_FEED: Final = re.compile(r"\\+n|\n[ \t]{0,80}\|")
_RETURN: Final = re.compile(r"\\+r|\r")
_MOST: Final = 200_000
_MOST_TURNS: Final = 16


def plain(literal: str) -> str:
    """Return the text of a literal of any language, as far as its line ends go."""
    return _FEED.sub("\n", _RETURN.sub("", literal[:_MOST]))


def has_mark(text: str) -> bool:
    """Return whether a text has one exact mark, or both in a form that people write for it."""
    if "${" not in text:
        text = _QUOTED.sub("", text)
    exact = _EXACT_HUMAN.search(text) or _EXACT_ASSISTANT.search(text)
    return exact is not None or _are_both(text)


def are_parts(texts: Iterable[str]) -> bool:
    """Return whether texts begin with both marks, as the parts of a prompt that is joined do."""
    found = {part[1] for text in texts if (part := _PART.match(text))}
    return len(found) > 1


def has_part(text: str) -> bool:
    """Return whether a text has a mark, or begins with one in another form."""
    return has_mark(text) or (_PART.match(text) is not None and not is_alone(text))


def has_both(text: str) -> bool:
    """Return whether a text has both marks in a form that people write, or begins with one."""
    if is_exact(text) or _NAMED.match(text):
        return True
    return _are_both(_QUOTED.sub("", text))


def _are_both(text: str) -> bool:
    human = _HUMAN.search(text)
    return human is not None and _ASSISTANT.search(text, human.end()) is not None


def is_exact(text: str) -> bool:
    """Return whether a text begins with an exact mark, or has both in their order.

    The blank line before the first one may be lost, as at the beginning of a template or a file.
    """
    text = _QUOTED.sub("", text)
    if _FIRST.match(text) or (_HUMAN.match(text) and _EXACT_ASSISTANT.search(text)):
        return True
    human = _EXACT_HUMAN.search(text)
    return human is not None and _EXACT_ASSISTANT.search(text, human.end()) is not None


def first_of_file(text: str) -> int | None:
    """Return the offset of the first mark of a file that is a prompt as a whole, or None.

    A file of many turns is a record.
    """
    if len(SIGN.findall(text[:_MOST])) > _MOST_TURNS or not is_exact(text):
        return None
    sign = SIGN.search(text)
    return sign.start() if sign else None


def is_alone(text: str) -> bool:
    """Return whether a text is a mark and nothing else, as a stop sequence is."""
    return _ALONE.fullmatch(text) is not None
