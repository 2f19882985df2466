r"""Text -> `Prompt`: the rules of the `\n\nHuman:` and `\n\nAssistant:` turns.

Source: the service's page *Prompt validation*. In its order: light sanitising, the first turn
must be Human's, the last one Assistant's. Where that page is silent, `docs/prompts.md` says what
was chosen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tenuto.wire.errors import InvalidRequest
from tenuto.wire.long_text import Text

HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"

MOST_TURNS: Final = 10_000
"""A turn is an object: a prompt of nothing but turns would take thirty times its size."""

_MARK = re.compile(r"\n\n(Human|Assistant):")
MUST_START: Final = f'prompt must start with "{HUMAN}" turn after an optional system prompt'
MUST_END: Final = f'prompt must end with "{ASSISTANT}" turn'


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

    @property
    def size(self) -> int:
        """The length of the text in bytes of UTF-8."""
        return len(self.text.encode())

    @property
    def has_turns(self) -> bool:
        """Whether it is a conversation, and no raw prompt."""
        return bool(self.turns)

    def spoken_size(self) -> int:
        """Return the bytes of what is said, without marks and without white space around it."""
        texts = (self.system, *(turn.text for turn in self.turns), self.prefill)
        return sum(len(text.strip().encode()) for text in texts) if self.turns else self.size

    def whole(self) -> Text:
        """Return the text as one, without copying a long one."""
        return self.text

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces, each of which is handled in no time."""
        yield self.text

    def question(self) -> Iterator[str]:
        """Yield the last Human turn in pieces, or the text of a raw prompt."""
        questions = [turn.text for turn in self.turns if turn.human]
        yield questions[-1] if questions else self.text


def parse_prompt(text: str, most_turns: int = MOST_TURNS) -> Prompt:
    """Sanitises a prompt, checks its turns and takes it apart.

    Args:
        text: The prompt.
        most_turns: Most turns that it may have.

    Raises:
        InvalidRequest: A turn is missing or in the wrong place, in the documented words; or there
            are too many.
    """
    text = _sanitise(text)
    marks = list(islice(_MARK.finditer(text), most_turns + 1))
    if len(marks) > most_turns:
        raise too_many_turns(most_turns)
    if not marks or marks[0][1] != "Human":
        raise InvalidRequest(_explained(MUST_START, text))
    if marks[-1][1] != "Assistant":
        raise InvalidRequest(_explained(MUST_END, text))
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


def too_many_turns(most: int) -> InvalidRequest:
    """Return the error of a prompt with more turns than it may have."""
    return InvalidRequest(
        f"prompt: it should have at most {most} turns. `max_turns` in [limits] sets this."
    )


def _explained(message: str, text: str) -> str:
    any_name = re.search(r"(Human|Assistant):", text) is not None
    on_a_line = re.search(r"(?<!\n)\n(Human|Assistant):", text) is not None
    return with_remedy(message, any_name=any_name, on_a_line=on_a_line)


def with_remedy(message: str, *, any_name: bool, on_a_line: bool) -> str:
    """Return a documented message, with a second sentence on what the prompt has instead.

    Args:
        message: The service's.
        any_name: Whether `Human:` or `Assistant:` is anywhere in the prompt.
        on_a_line: Whether one of them stands after a single newline.
    """
    if not any_name:
        return rf'{message}. Wrap the text: "\n\nHuman: " + text + "\n\nAssistant:".'
    if on_a_line:
        return f"{message}. A turn begins after a blank line: two newlines, not one."
    return message
