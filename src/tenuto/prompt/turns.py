r"""Text -> `Prompt`: the rules of the `\n\nHuman:` and `\n\nAssistant:` turns.

Source: the service's page *Prompt validation*, in its order: light sanitising, the first turn must
be Human's, the last one Assistant's. `docs/prompts.md` has the choices where that page is silent.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from tenuto.core.prompt import ASSISTANT, HUMAN, Prompt, Turn
from tenuto.core.refusal import Refusal, invalid

MOST_TURNS: Final = 10_000
"""Limit because turns are objects: a prompt of empty turns would take thirty times its size."""

_MARK = re.compile(r"\n\n(Human|Assistant):")
_OPENING = re.compile(r"\n{0,2}(?=Human:)")
MUST_START: Final = f'prompt must start with "{HUMAN}" turn after an optional system prompt'
MUST_END: Final = f'prompt must end with "{ASSISTANT}" turn'


def parse_prompt(text: str, most_turns: int = MOST_TURNS) -> Prompt:
    """Sanitise a prompt, check its turns and split it into them.

    Args:
        text: The prompt.
        most_turns: Most turns of the prompt.

    Raises:
        Refusal: A turn is missing or misplaced, in the documented words; or there are too many.
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
    """Return a prompt without turns, for base models."""
    return Prompt(text)


def human_turn(text: str) -> str:
    """Wrap a text into one Human turn."""
    return f"{HUMAN} {text}{ASSISTANT}"


def _sanitise(text: str) -> str:
    # Line ends of Windows. The format needs no carriage return.
    text = text.replace("\r\n", "\n")
    opening = _OPENING.match(text)
    if opening:
        text = "\n\n" + text[opening.end() :]
    stripped = text.rstrip(" ")
    return stripped if stripped.endswith(ASSISTANT) else text


def too_many_turns(most: int) -> Refusal:
    """Return the refusal of a prompt with too many turns."""
    return invalid(f"prompt: must have at most {most} turns. `max_turns` in [limits] sets this.")


def _explained(message: str, text: str) -> str:
    any_name = bool(re.search(r"(Human|Assistant):", text))
    on_a_line = bool(re.search(r"(?<!\n)\n(Human|Assistant):", text))
    return with_remedy(message, any_name=any_name, on_a_line=on_a_line)


def with_remedy(message: str, *, any_name: bool, on_a_line: bool) -> str:
    """Return a documented message with the remedy as a second sentence.

    Args:
        message: The documented message.
        any_name: Whether the prompt contains `Human:` or `Assistant:`.
        on_a_line: Whether one of them follows a single newline.
    """
    if not any_name:
        return rf'{message}. Wrap the text: "\n\nHuman: " + text + "\n\nAssistant:".'
    if on_a_line:
        return f"{message}. A turn begins after a blank line: two newlines, not one."
    return message
