r"""`Prompt` -> the turns of a chat: the other half of `prompt.turns`.

Source of the rules: the service's page *Migrating from Text Completions*. The text before the
first Human turn is the system text, a turn loses the one space after its colon, consecutive turns
of one side are joined, and the text after the last `\n\nAssistant:` is a prefill, which must not
end in white space.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from tenuto.core.long_text import Rope, Text
from tenuto.core.prompt import Prompt
from tenuto.core.value import value


@value
class Chat:
    """A prompt as a chat.

    Attributes:
        system: The system text, or "".
        turns: `("user" or "assistant", text)`, alternating; the last one is the user's. Texts are
            not blank.
        prefill: The beginning of the answer, without white space at its end, or "".
        gap: The white space removed from the end of the prefill. A continuation begins with white
            space of its own instead.
    """

    system: Text
    turns: tuple[tuple[str, Text], ...]
    prefill: Text = ""
    gap: Text = ""


def to_chat(prompt: Prompt) -> Chat:
    """Return a prompt as a chat. A raw prompt becomes one turn of the user.

    Consecutive Assistant turns at the end are the prefill. Blank turns are left out, so that the
    chat may be empty.
    """
    if not prompt.turns:
        return Chat("", (("user", prompt.text),) if prompt.text.strip() else ())
    texts = [("user" if turn.human else "assistant", turn.text) for turn in prompt.turns]
    texts.append(("assistant", prompt.prefill))
    spoken = [(side, text.removeprefix(" ")) for side, text in texts if text.strip()]
    turns = [
        (side, "\n\n".join(text for _, text in group))
        for side, group in groupby(spoken, itemgetter(0))
    ]
    begun = turns.pop()[1] if turns and turns[-1][0] == "assistant" else ""
    prefill = begun.rstrip()
    return Chat(prompt.system.strip(), tuple(turns), prefill, begun[len(prefill) :])


class Continuation:
    """Turn the answer to a chat into a completion: the text that follows the prompt.

    A completion begins with a space, because the prompt ends with a colon; one that continues a
    prefill does not. The repetition of a prefill that was sent as an instruction is removed.

    Args:
        chat: The chat.
        repeated: Whether the answer should repeat the prefill.
    """

    def __init__(self, chat: Chat, *, repeated: bool) -> None:
        self._prefill = _Prefill(chat.prefill) if repeated else None
        # Replaces the white space at the beginning of the completion; None to keep that.
        self._opening: str | None = "" if chat.gap else None if chat.prefill else " "
        self._begun = False

    def push(self, text: str) -> str:
        """Take the next text of the answer; return the completion's text that is certain."""
        if self._begun:
            return text
        if self._prefill is not None:
            text = self._past_prefill(self._prefill, text)
        return self._begin(text)

    def end(self) -> str:
        """End the answer; return the held text."""
        if self._begun or self._prefill is None:
            return ""
        self._opening = " "
        return self._begin(self._prefill.repeated())

    def _past_prefill(self, prefill: _Prefill, text: str) -> str:
        """Return the text after the prefill, or the whole answer if it differs."""
        rest = prefill.without(text)
        if rest is None:
            self._opening = " "
            text = prefill.repeated() + text
        else:
            text = rest
        if rest is None or prefill.is_repeated:
            self._prefill = None
        return text

    def _begin(self, text: str) -> str:
        if self._opening is not None:
            text = text.lstrip()
            text = text and self._opening + text
        self._begun = bool(text)
        return text


class _Prefill:
    """Compare a prefill with the beginning of an answer that arrives in pieces.

    Args:
        text: The prefill, not blank. White space at its beginning is ignored.
    """

    def __init__(self, text: Text) -> None:
        self._text = text
        self._pieces = self._stripped_pieces()
        self._piece = next(self._pieces)
        self._at = 0
        self._length = 0
        self.is_repeated = False

    def without(self, text: str) -> str | None:
        """Return the part of the next text after the prefill; None if they differ."""
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
        """Return the part of the prefill that the answer has repeated so far."""
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
