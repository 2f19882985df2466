r"""Text -> `Prompt`: the rules of the `\n\nHuman:` and `\n\nAssistant:` turns.

Source: the service's page *Prompt validation*. In its order: light sanitising, the first turn
must be Human's, the last one Assistant's. Where that page is silent, `docs/prompts.md` says what
was chosen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tenuto.wire.errors import InvalidRequest

HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"

_MARK = re.compile(r"\n\n(Human|Assistant):")
_MUST_START = f'prompt must start with "{HUMAN}" turn after an optional system prompt'
_MUST_END = f'prompt must end with "{ASSISTANT}" turn'


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said.

    Attributes:
        human: Whether it was the Human.
        text: As written after the colon, with its leading space.
    """

    human: bool
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    r"""A prompt that keeps the rules, and its parts.

    Attributes:
        text: The whole prompt, sanitised: what a model that completes text is given.
        system: The text before the first Human turn, or "".
        turns: The turns in order, without the last Assistant turn, which is being written.
        prefill: The beginning of the answer, after the last `\n\nAssistant:`, or "".
    """

    text: str
    system: str = ""
    turns: tuple[Turn, ...] = ()
    prefill: str = ""


def parse_prompt(text: str) -> Prompt:
    """Sanitises a prompt, checks its turns and takes it apart.

    Raises:
        InvalidRequest: A turn is missing or in the wrong place, in the documented words.
    """
    text = _sanitise(text)
    marks = list(_MARK.finditer(text))
    if not marks or marks[0][1] != "Human":
        raise InvalidRequest(_with_remedy(_MUST_START, text))
    if marks[-1][1] != "Assistant":
        raise InvalidRequest(_with_remedy(_MUST_END, text))
    ends = [mark.start() for mark in marks[1:]]
    turns = tuple(
        Turn(human=mark[1] == "Human", text=text[mark.end() : end])
        for mark, end in zip(marks, ends, strict=False)
    )
    return Prompt(text, text[: marks[0].start()], turns, text[marks[-1].end() :])


def raw_prompt(text: str) -> Prompt:
    """A prompt that is completed as it is, without turns: for base models."""
    return Prompt(text)


def human_turn(text: str) -> str:
    """Wraps a bare text into one Human turn, to be answered."""
    return f"{HUMAN} {text}{ASSISTANT}"


def _sanitise(text: str) -> str:
    # Programs on Windows write their line ends; no prompt of the format needs a carriage return.
    text = text.replace("\r\n", "\n")
    opening = re.match(r"\n{0,2}(?=Human:)", text)
    if opening:
        text = "\n\n" + text[opening.end() :]
    stripped = text.rstrip(" ")
    return stripped if stripped.endswith(ASSISTANT) else text


def _with_remedy(message: str, text: str) -> str:
    if not re.search(r"(Human|Assistant):", text):
        return rf'{message}. Wrap the text: "\n\nHuman: " + text + "\n\nAssistant:".'
    if re.search(r"(?<!\n)\n(Human|Assistant):", text):
        return f"{message}. A turn begins after a blank line: two newlines, not one."
    return message
