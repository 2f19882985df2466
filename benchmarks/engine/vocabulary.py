"""A vocabulary with which prompts of an exact number of tokens can be written.

All words of four letters, up to some, are a token each, with the space before them. The models
follow each of them by the next one of a fixed random order, see `successors`.
"""

from __future__ import annotations

import itertools
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

# GPT-2's alphabet: bytes that cannot be printed are these, from 256 on.
_PRINTABLE: Final = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_SPACE: Final = "Ġ"
_LETTERS: Final = 4
# Bytes, and words of fewer letters.
_FIRST_WORD: Final = 256 + sum(26**letters for letters in range(1, _LETTERS))
# The last token of each prompt is that of a byte.
PROMPT_END: Final = ":"
_CONTROL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Control tokens of Qwen2.5: the named ones, and unused ones.
_CONTROLS: Final = 293
_ORDER: Final = 2


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of a number of tokens.

    Args:
        size: The number, at least 20,000; the last 293 are control tokens.
    """

    size: int

    @property
    def texts(self) -> int:
        """The number of tokens that stand for text; control tokens follow."""
        return self.size - _CONTROLS

    @cached_property
    def words(self) -> list[str]:
        """Words of four letters that are a token each, if a space precedes them."""
        return list(itertools.islice(_words(_LETTERS), self.texts - _FIRST_WORD))

    @cached_property
    def successors(self) -> list[int]:
        """A cycle of token ids: that of `PROMPT_END`, and those of all words in a random order."""
        ids = list(range(_FIRST_WORD, self.texts))
        random.Random(_ORDER).shuffle(ids)
        # Tokens of bytes are in the order of the bytes.
        return [ord(PROMPT_END), *ids]

    def completion(self, tokens: int) -> list[str]:
        """Return the words that follow a prompt, for at most as many tokens as there are words."""
        return [self.words[token - _FIRST_WORD] for token in self.successors[1 : 1 + tokens]]

    @cached_property
    def tokens(self) -> list[str]:
        """The texts of all tokens, in the form of GGUF files."""
        others = (chr(256 + number) for number in itertools.count())
        printable = set(_PRINTABLE)
        found = [chr(byte) if byte in printable else next(others) for byte in range(256)]
        found += [_SPACE + word for word in self._spaced()]
        found += _CONTROL
        return found + [f"<|unused{number}|>" for number in range(self.size - len(found))]

    @cached_property
    def merges(self) -> list[str]:
        """The merges of byte pair encoding."""
        return [f"{_SPACE}{word[:-1]} {word[-1]}" for word in self._spaced()]

    def _spaced(self) -> Iterator[str]:
        all_words = itertools.chain.from_iterable(map(_words, itertools.count(1)))
        return itertools.islice(all_words, self.texts - 256)


def _words(letters: int) -> Iterator[str]:
    return map("".join, itertools.product(string.ascii_lowercase, repeat=letters))
