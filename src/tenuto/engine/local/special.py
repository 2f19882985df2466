"""Control tokens: a chat template may write them, and the text of a turn may not.

A tokenizer turns every text that spells a control token, such as `<|im_end|>`, into that token. So
a `RenderedPrompt` holds the positions of its control tokens, and all other text is tokenised
without any. A prompt that spells none elsewhere is tokenised whole, by the library alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.vocabulary import (
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    is_text,
    spellings,
)

# Some files list their control tokens as ordinary ones. These forms are never anything else.
_MARKER: Final = re.compile(r"<[|\uff5c].+[|\uff5c]>|<(start|end)_of_turn>", re.DOTALL)
# What a user-defined token looks like that is a marker, if the chat template writes it.
_TAG: Final = re.compile(r"[<\[]\S*\w\S*[>\]]")

# Characters of a text that are matched one by one, which bounds how deep a pattern is.
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A prompt, and where its control tokens stand.

    Attributes:
        text: The prompt.
        control: Start and end of each text that is a control token, in order. None if all that
            spell one are.
    """

    text: str
    control: tuple[tuple[int, int], ...] | None = None


class Tokenizer(Protocol):
    """What a runtime offers; see `Runtime`."""

    def encode(self, text: str) -> list[int]:
        """See `Runtime.encode`."""
        ...

    def encode_plain(self, text: str) -> list[int]:
        """See `Runtime.encode_plain`."""
        ...


class SpecialTokens:
    """The control tokens of a model, and those of its other tokens that serve as some.

    These are: tokens of the type control or unknown; tokens of any type that look like a marker,
    `<|…|>`; and user-defined tokens such as `<think>`, if the chat template writes them. Other
    user-defined tokens are ordinary pieces of text.

    Args:
        file: The model.
        tokenizer: Its tokenizer.
        template: The source of its chat template, or "".
    """

    def __init__(self, file: Gguf, tokenizer: Tokenizer, template: str = "") -> None:
        tokens: Sequence[str] = file.metadata.get("tokenizer.ggml.tokens", ())
        types: Sequence[int] = file.metadata.get("tokenizer.ggml.token_type", ())
        found = _special(tokens, types or [NORMAL] * len(tokens), template)
        found = _recognised(found, tokenizer)
        self._tokenizer = tokenizer
        self._ids = {text: token for text, (token, _) in found.items()}
        self._texts = {token: text for text, token in self._ids.items()}
        # An unknown token stands for any text that the vocabulary lacks.
        self._counted = frozenset(token for token, kind in found.values() if kind != UNKNOWN)
        self._pattern = _pattern(found)
        self._controls = _pattern(
            text for text, (_, kind) in found.items() if kind in (CONTROL, UNKNOWN)
        )
        model = str(file.metadata.get("tokenizer.ggml.model", ""))
        self._spellings = spellings(model, tokens, types, self._texts)
        # What the library adds to every text.
        self._added = tokenizer.encode("")

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return where a text spells special tokens, from left to right, the longest first."""
        return [match.span() for match in self._pattern.finditer(text)]

    def starts(self, text: str, *, control_only: bool = False) -> list[int]:
        """Return where special tokens begin in a text, also those within others.

        Args:
            text: Any text.
            control_only: Leaves out tokens of other types than control and unknown.
        """
        pattern = self._controls if control_only else self._pattern
        starts = []
        match = pattern.search(text)
        while match:
            starts.append(match.start())
            match = pattern.search(text, match.start() + 1)
        return starts

    def encode(self, prompt: RenderedPrompt) -> list[int]:
        """Tokenise a prompt, with the token that begins a text if the model wants it."""
        text, control = prompt.text, prompt.control
        if control is None:
            return self._tokenizer.encode(text)
        if len(control) == len(self.find(text)):
            ids = self._tokenizer.encode(text)
            if self._count(ids) == self._expected(text, control):
                return ids
        return self._encode_apart(text, control)

    def _count(self, ids: Iterable[int]) -> int:
        return sum(token in self._counted for token in ids)

    def _expected(self, text: str, control: Sequence[tuple[int, int]]) -> int:
        """Return how many special tokens a text has, with those that the library adds."""
        expected = len(control) + self._count(self._added)
        if self._added and control and control[0][0] == 0:
            # The library does not add the first token to a text that spells it.
            expected -= self._ids[text[: control[0][1]]] == self._added[0]
        return expected

    def _encode_apart(self, text: str, control: Sequence[tuple[int, int]]) -> list[int]:
        ids: list[int] = []
        end = 0
        for start, stop in control:
            ids += self._plain(text[end:start])
            ids.append(self._ids[text[start:stop]])
            end = stop
        ids += self._plain(text[end:])
        first = self._added[:1]
        return ids if ids[:1] == first else first + ids

    def _plain(self, text: str) -> Iterator[int]:
        """Tokenise a text that holds no special token, whatever it spells."""
        for token in self._tokenizer.encode_plain(text) if text else ():
            if token in self._counted:
                # Pieces may be merged into one that has its text, or the library insists on it.
                yield from self._spellings[token]
            else:
                yield token


def _special(
    tokens: Sequence[str], types: Sequence[int], template: str
) -> dict[str, tuple[int, int]]:
    """Return the special tokens of a vocabulary: text -> id and type."""
    return {
        text: (token, kind)
        for token, (text, kind) in enumerate(zip(tokens, types, strict=False))
        # White space alone is in every text.
        if text.strip() and is_text(text) and _is_special(text, kind, template)
    }


def _is_special(text: str, kind: int, template: str) -> bool:
    if kind in (CONTROL, UNKNOWN):
        return True
    if kind not in (NORMAL, USER_DEFINED):
        return False
    written = kind == USER_DEFINED and _TAG.fullmatch(text) and text in template
    return bool(written or _MARKER.fullmatch(text))


def _recognised(
    found: dict[str, tuple[int, int]], tokenizer: Tokenizer
) -> dict[str, tuple[int, int]]:
    """Leave out tokens of other types that the library does not make of their text."""
    doubtful = [text for text, (_, kind) in found.items() if kind not in (CONTROL, UNKNOWN)]
    made = set(tokenizer.encode("".join(doubtful))) if doubtful else set()
    return {
        text: (token, kind)
        for text, (token, kind) in found.items()
        if kind in (CONTROL, UNKNOWN) or token in made
    }


class _Node(dict[str, "_Node"]):
    """A place within texts that begin alike: the next characters, and whether a text ends."""

    ends = False


def _pattern(texts: Iterable[str]) -> re.Pattern[str]:
    """Compile a pattern that matches the longest of some texts.

    Common beginnings are matched once: to try each of a thousand texts at every `<` takes long.
    """
    root = _Node()
    for text in texts:
        node = root
        for character in text[:_DEEPEST]:
            node = node.setdefault(character, _Node())
        if rest := text[_DEEPEST:]:
            node = node.setdefault(rest, _Node())
        node.ends = True
    return re.compile(_branches(root) if root else r"(?!)")


def _branches(node: _Node) -> str:
    # The longest first, which matters beyond the depth alone.
    keys = sorted(node, key=len, reverse=True)
    inner = [re.escape(key) + _branches(node[key]) for key in keys]
    if not inner:
        return ""
    joined = f"(?:{'|'.join(inner)})" if inner[1:] or node.ends else inner[0]
    return joined + "?" if node.ends else joined
