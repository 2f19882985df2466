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
    merged: list[tuple[str, str]] = []
    for turn in prompt.turns:
        _say(merged, "user" if turn.human else "assistant", turn.text)
    _say(merged, "assistant", prompt.prefill)
    begun = merged.pop()[1] if merged and merged[-1][0] == "assistant" else ""
    prefill = begun.rstrip()
    return Chat(prompt.system.strip(), tuple(merged), prefill, begun[len(prefill) :])


def _say(merged: list[tuple[str, str]], side: str, text: str) -> None:
    """Adds a turn, to the one before where that is of the same side."""
    text = text.removeprefix(" ")
    if not text.strip():
        return
    if merged and merged[-1][0] == side:
        _, before = merged.pop()
        text = f"{before}\n\n{text}"
    merged.append((side, text))


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
        self._expected = chat.prefill if repeated else ""
        self._continues = bool(chat.prefill) and not repeated
        self._gap = chat.gap
        self._held = ""
        self._begun = False

    def push(self, text: str) -> str:
        """Takes some of the answer; returns what of the completion it decides."""
        if self._begun:
            return text
        self._held += text
        return self._begin(last=False)

    def end(self) -> str:
        """The answer has ended; returns what was held back."""
        return "" if self._begun else self._begin(last=True)

    def _begin(self, *, last: bool) -> str:
        held = self._held
        if self._expected:
            start = held.lstrip()
            if not last and len(start) < len(self._expected) and self._expected.startswith(start):
                return ""
            if start.startswith(self._expected):
                held = start[len(self._expected) :]
                return self._past_gap(held, last=last)
            # It answered otherwise: then that is the answer.
            return self._commit(held.lstrip() and " " + held.lstrip())
        if self._continues:
            return self._past_gap(held, last=last)
        # White space at the very beginning is the model's, the one space is the format's.
        start = held.lstrip()
        if not start and not last:
            return ""
        return self._commit(" " + start if start else "")

    def _past_gap(self, text: str, *, last: bool) -> str:
        """The caller has the white space at the end of the prefill already."""
        if not self._gap:
            return self._commit(text) if text or last else ""
        start = text.lstrip()
        if not start and not last:
            return ""
        return self._commit(start)

    def _commit(self, text: str) -> str:
        self._begun, self._held = True, ""
        return text
