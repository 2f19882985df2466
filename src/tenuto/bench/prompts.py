"""Prompts for a measurement, made by a rule. Pure.

Sizes are in words, since a server's tokenizer is not known here; the usual ones make about 1.3
tokens of a word. No two conversations begin alike, unless they are meant to: then no server can
answer from its cache what it should compute.
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
    """What the prompts of a measurement have in common."""

    DISTINCT = "distinct"
    """Nothing."""
    SHARED_PREFIX = "shared-prefix"
    """A long beginning, as of a system prompt or a document."""
    MULTI_TURN = "multi-turn"
    """Each with those before it in its conversation: question, answer, next question."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long prompts are.

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
    """Questions that are asked one after another.

    Attributes:
        beginning: What comes before the first turn, as a system prompt does.
        questions: One a turn.
    """

    beginning: str
    questions: tuple[str, ...]

    def prompt(self, answers: Sequence[str]) -> str:
        """The prompt of the turn that follows some answers; there is none after the last."""
        text = self.beginning
        for question, answer in zip(self.questions, answers, strict=False):
            text += f"\n\nHuman: {question}\n\nAssistant:{answer}"
        return f"{text}\n\nHuman: {self.questions[len(answers)]}\n\nAssistant:"


def conversation(kind: PromptSet, sizes: Sizes, seed: int, number: int) -> Conversation:
    """A conversation of a set.

    Args:
        kind: Its set.
        sizes: How long it is.
        seed: Of the whole measurement. Another one shares no beginning with this one.
        number: Of the conversation in the measurement, from 0.
    """
    turns = sizes.turns if kind is PromptSet.MULTI_TURN else 1
    questions = [_text(sizes.prompt_words, seed, number, turn) for turn in range(turns)]
    beginning = ""
    if kind is PromptSet.SHARED_PREFIX:
        beginning = _text(sizes.shared_words, seed)
    return Conversation(beginning, tuple(questions))


def _text(words: int, *key: int) -> str:
    """Words that follow from a key, and that differ at once from those of any other key."""
    draw = random.Random(repr(key))
    chosen = [f"{draw.getrandbits(64):x}", *draw.choices(_WORDS, k=words - 1)]
    return " ".join(chosen)
