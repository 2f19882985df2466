"""`Prompt` -> messages: what models want that were taught to chat."""

from __future__ import annotations

from itertools import groupby

from tenuto.prompt.turns import Prompt

Message = tuple[str, str]
"""A role, `system`, `user` or `assistant`, and its text without the spaces around it."""


def messages_of(prompt: Prompt) -> tuple[list[Message], str]:
    """Takes a prompt with turns apart for a chat template.

    Turns of one side in a row become one message, because most templates refuse them. An
    Assistant turn before the last one is the beginning of the answer.

    Returns:
        The messages, which end with the user's, and the beginning of the answer, or "".
    """
    messages: list[Message] = []
    if system := prompt.system.strip():
        messages.append(("system", system))
    for human, turns in groupby(prompt.turns, key=lambda turn: turn.human):
        text = "\n\n".join(turn.text.strip() for turn in turns)
        messages.append(("user" if human else "assistant", text))
    # The space after the colon belongs to the prompt's format.
    prefill = prompt.prefill.removeprefix(" ")
    if messages and messages[-1][0] == "assistant":
        _, begun = messages.pop()
        prefill = f"{begun}\n\n{prefill}" if begun and prefill else begun or prefill
    return messages, prefill
