r"""`Prompt` -> the turns of a chat: the other half of `prompt.turns`.

Source of the rules: the service's page *Migrating from Text Completions*. The text before the
first Human turn is the system text, a turn loses the one space after its colon, turns of the same
side in a row become one, and what stands after the last `\n\nAssistant:` is the beginning of the
answer, which may not end in white space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tenuto.core.long_text import Rope, Text
from tenuto.core.prompt import Prompt


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

    system: Text
    turns: tuple[tuple[str, Text], ...]
    prefill: Text = ""
    gap: Text = ""


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
        self._prefill = _Prefill(chat.prefill) if repeated else None
        # Written before the completion's first character that is not white space; None if white
        # space at its beginning is part of it.
        self._opening: str | None = "" if chat.gap else None if chat.prefill else " "
        self._begun = False

    def push(self, text: str) -> str:
        """Takes some of the answer; returns what of the completion it decides."""
        if self._begun:
            return text
        if self._prefill is not None:
            text = self._past_prefill(self._prefill, text)
        return self._begin(text)

    def end(self) -> str:
        """The answer has ended; returns what was held back."""
        if self._begun or self._prefill is None:
            return ""
        self._opening = " "
        return self._begin(self._prefill.repeated())

    def _past_prefill(self, prefill: _Prefill, text: str) -> str:
        """Return the text behind the prefill, or all of an answer that differs from it."""
        rest = prefill.without(text)
        if rest is None:
            # It answered otherwise: then that is the answer.
            self._opening = " "
            text = prefill.repeated() + text
        else:
            text = rest
        if rest is None or prefill.is_repeated:
            self._prefill = None
        return text

    def _begin(self, text: str) -> str:
        if self._opening is not None:
            # The one space is the format's, and the gap is the caller's; other white space at the
            # very beginning is the model's.
            text = text.lstrip()
            text = text and self._opening + text
        self._begun = bool(text)
        return text


class _Prefill:
    """Compares a prefill with the beginning of an answer, as far as that has come.

    Args:
        text: The prefill, not blank. White space at its beginning does not count.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._pieces = self._stripped_pieces()
        self._piece = next(self._pieces)
        self._at = 0
        self._length = 0
        self.is_repeated = False

    def without(self, text: str) -> str | None:
        """Return the part of the next text behind the prefill; None if the two differ."""
        if self._length == 0:
            text = text.lstrip()
        position = 0
        while position < len(text) and not self.is_repeated:
            part = text[position : position + len(self._piece) - self._at]
            if not self._piece.startswith(part, self._at):
                self._length -= position
                return None
            self._at += len(part)
            self._length += len(part)
            position += len(part)
            if self._at == len(self._piece):
                self._piece, self._at = next(self._pieces, ""), 0
                self.is_repeated = not self._piece
        return text[position:]

    def repeated(self) -> str:
        """Return as much of it as the answer has repeated before the text that differs."""
        texts, left = list[str](), self._length
        for piece in self._stripped_pieces():
            if not left:
                break
            texts.append(piece[:left])
            left -= len(texts[-1])
        return "".join(texts)

    def _stripped_pieces(self) -> Iterator[str]:
        begun = False
        for piece in self._text.pieces() if isinstance(self._text, Rope) else [self._text]:
            text = piece if begun else piece.lstrip()
            if text:
                begun = True
                yield text
