"""Make the prompts of a measurement from a seed. Pure.

Sizes are in words, because the server's tokenizer is unknown; common ones make about 1.3 tokens of
a word. Conversations differ from the first word on, unless they share a prefix, so that no cache
answers in place of the model.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WORDS: Final = tuple(
    """
    river stone garden window letter winter market bridge candle harbour island kitchen
    ladder meadow needle orchard pencil quarry ribbon saddle tunnel valley wagon yellow
    anchor basket copper desert engine forest gentle hollow insect jacket kettle lantern
    mirror narrow open paper quiet rocket silver thread under velvet walnut young amber
    bottle cloud dinner early
    """.split()  # noqa: SIM905
)


class PromptSet(StrEnum):
    """Kinds of prompts, by what they have in common."""

    DISTINCT = "distinct"
    """Nothing."""
    SHARED_PREFIX = "shared-prefix"
    """A long beginning, such as a system prompt or a document."""
    MULTI_TURN = "multi-turn"
    """The turns before it: question, answer, next question."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths of prompts.

    Attributes:
        prompt_words: Words of a question.
        shared_words: Words of the common beginning of `shared-prefix`.
        turns: Questions of a conversation of `multi-turn`.
    """

    prompt_words: int
    shared_words: int
    turns: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions that follow one another, and the text before the first, like a system prompt."""

    beginning: str
    questions: tuple[str, ...]

    def prompt(self, answers: Sequence[str]) -> str:
        """Return the prompt of the turn after some answers, fewer than the questions."""
        text = self.beginning
        for question, answer in zip(self.questions, answers, strict=False):
            text += f"\n\nHuman: {question}\n\nAssistant:{answer}"
        return f"{text}\n\nHuman: {self.questions[len(answers)]}\n\nAssistant:"


def conversation(kind: PromptSet, sizes: Sizes, seed: int, number: int) -> Conversation:
    """Return a conversation by its number in the measurement, from 0.

    Conversations of different seeds share no beginning.
    """
    turns = sizes.turns if kind is PromptSet.MULTI_TURN else 1
    questions = [_text(sizes.prompt_words, seed, number, turn) for turn in range(turns)]
    beginning = ""
    if kind is PromptSet.SHARED_PREFIX:
        beginning = _text(sizes.shared_words, seed)
    return Conversation(beginning, tuple(questions))


def _text(words: int, *key: int) -> str:
    """Return words made from a key; those of another key differ from the first word on."""
    draw = random.Random(repr(key))
    chosen = [f"{draw.getrandbits(64):x}", *draw.choices(_WORDS, k=words - 1)]
    return " ".join(chosen)
