r"""Text -> `Prompt`: the rules of the `\n\nHuman:` and `\n\nAssistant:` turns.

Source: the service's page *Prompt validation*. In its order: light sanitising, the first turn
must be Human's, the last one Assistant's. Where that page is silent, `docs/prompts.md` says what
was chosen.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from tenuto.core.prompt import ASSISTANT, HUMAN, Prompt, Turn
from tenuto.core.refusal import Refusal, invalid

MOST_TURNS: Final = 10_000
"""A turn is an object: a prompt of nothing but turns would take thirty times its size."""

_MARK = re.compile(r"\n\n(Human|Assistant):")
MUST_START: Final = f'prompt must start with "{HUMAN}" turn after an optional system prompt'
MUST_END: Final = f'prompt must end with "{ASSISTANT}" turn'


def parse_prompt(text: str, most_turns: int = MOST_TURNS) -> Prompt:
    """Sanitises a prompt, checks its turns and takes it apart.

    Args:
        text: The prompt.
        most_turns: Most turns that it may have.

    Raises:
        Refusal: A turn is missing or in the wrong place, in the documented words; or there
            are too many.
    """
    text = _sanitise(text)
    marks = list(islice(_MARK.finditer(text), most_turns + 1))
    if len(marks) > most_turns:
        raise too_many_turns(most_turns)
    if not marks or marks[0][1] != "Human":
        raise invalid(_explained(MUST_START, text))
    if marks[-1][1] != "Assistant":
        raise invalid(_explained(MUST_END, text))
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


def too_many_turns(most: int) -> Refusal:
    """Return the error of a prompt with more turns than it may have."""
    return invalid(
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
