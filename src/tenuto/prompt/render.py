r"""`Prompt` -> the turns of a chat: the other half of `prompt.turns`.

Source of the rules: the service's page *Migrating from Text Completions*. The text before the
first Human turn is the system text, a turn loses the one space after its colon, turns of the same
side in a row become one, and what stands after the last `\n\nAssistant:` is the beginning of the
answer, which may not end in white space.
"""

from __future__ import annotations

from dataclasses import dataclass

from tenuto.prompt.turns import Prompt


@dataclass(frozen=True, slots=True)
class Chat:
    """A prompt as a chat.

    Attributes:
        system: The system text, or "".
        turns: `("user" or "assistant", text)`, the sides in turn, the last one the user's. No
            text is empty or white space alone.
        prefill: The beginning of the answer, without white space at its end, or "".
        gap: The white space that was taken from the end of the prefill. Whoever continues it
            begins with white space of its own, which the caller has already.
    """

    system: str
    turns: tuple[tuple[str, str], ...]
    prefill: str = ""
    gap: str = ""


def to_chat(prompt: Prompt) -> Chat:
    """A prompt as a chat. A raw prompt, which has no turns, is one turn of the user.

    An Assistant turn before the last colon is the beginning of the answer too. Turns without
    text are left out, so there may be none at all.
    """
    if not prompt.turns:
        return Chat("", (("user", prompt.text),) if prompt.text.strip() else ())
    # Joined at the end: to add each text to those before would copy these again and again.
    merged: list[tuple[str, list[str]]] = []
    for turn in prompt.turns:
        _say(merged, "user" if turn.human else "assistant", turn.text)
    _say(merged, "assistant", prompt.prefill)
    turns = [(side, "\n\n".join(texts)) for side, texts in merged]
    begun = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    prefill = begun.rstrip()
    return Chat(prompt.system.strip(), tuple(turns), prefill, begun[len(prefill) :])


def _say(merged: list[tuple[str, list[str]]], side: str, text: str) -> None:
    """Add a turn, to the one before if that is of the same side."""
    text = text.removeprefix(" ")
    if not text.strip():
        return
    if not merged or merged[-1][0] != side:
        merged.append((side, []))
    merged[-1][1].append(text)


class Continuation:
    """Makes a completion of a chat's answer: what follows the prompt, and not more.

    A completion begins with the space that the prompt's last colon lacks. One that continues a
    prefill does not: it goes on where that ends. Where the prefill was given as an instruction,
    the answer should begin with it, and it is taken away again.

    Args:
        chat: What was asked.
        repeated: Whether the answer should begin with the prefill.
    """

    def __init__(self, chat: Chat, *, repeated: bool) -> None:
        self._expected = chat.prefill.lstrip() if repeated else ""
        # How much of it the answer has repeated.
        self._repeated = 0
        # What the completion begins with when its first character that is no white space comes;
        # None if white space at its beginning is part of it.
        self._opening: str | None = "" if chat.gap else None if chat.prefill else " "
        self._begun = False

    def push(self, text: str) -> str:
        """Takes some of the answer; returns what of the completion it decides."""
        if self._begun:
            return text
        if self._repeated < len(self._expected):
            text = self._past_prefill(text)
        return self._begin(text)

    def end(self) -> str:
        """The answer has ended; returns what was held back."""
        if self._begun or not 0 < self._repeated < len(self._expected):
            return ""
        return self._begin(self._otherwise())

    def _past_prefill(self, text: str) -> str:
        """Take the prefill away; return what follows it, or all of an answer that differs."""
        if self._repeated == 0:
            text = text.lstrip()
        left = len(self._expected) - self._repeated
        if self._expected.startswith(text[:left], self._repeated):
            self._repeated += len(text[:left])
            return text[left:]
        return self._otherwise() + text

    def _otherwise(self) -> str:
        """The answer differs from the prefill: then all of it is the completion."""
        held = self._expected[: self._repeated]
        self._expected, self._opening = "", " "
        return held

    def _begin(self, text: str) -> str:
        if self._opening is not None:
            # The one space is the format's, and the gap is the caller's; other white space at the
            # very beginning is the model's.
            text = text.lstrip()
            text = text and self._opening + text
        self._begun = bool(text)
        return text
