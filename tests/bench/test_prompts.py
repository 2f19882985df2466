from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.bench.prompts import Conversation, PromptSet, Sizes, conversation
from tenuto.prompt.turns import parse_prompt

SIZES = Sizes(prompt_words=20, shared_words=50, turns=3)
sets = st.sampled_from(PromptSet)
keys = st.tuples(st.integers(0, 2**32), st.integers(0, 10**6))


def first_prompt(kind: PromptSet, seed: int, number: int) -> str:
    return conversation(kind, SIZES, seed, number).prompt([])


def common_beginning(one: str, other: str) -> str:
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in pairs)


@given(sets, keys)
def test_same_key_returns_the_same_prompts(kind: PromptSet, key: tuple[int, int]) -> None:
    assert conversation(kind, SIZES, *key) == conversation(kind, SIZES, *key)


@pytest.mark.parametrize("kind", [PromptSet.DISTINCT, PromptSet.MULTI_TURN])
@given(first=keys, second=keys)
def test_conversations_differ_from_their_first_words(
    kind: PromptSet, first: tuple[int, int], second: tuple[int, int]
) -> None:
    if first != second:
        shared = common_beginning(first_prompt(kind, *first), first_prompt(kind, *second))
        assert len(shared) < len("\n\nHuman: ") + 16


@given(st.integers(0, 2**32), st.integers(0, 1000), st.integers(1001, 2000))
def test_shared_prefix_has_the_requested_length(seed: int, first: int, second: int) -> None:
    kind = PromptSet.SHARED_PREFIX
    prompts = [first_prompt(kind, seed, number) for number in (first, second)]
    shared = common_beginning(*prompts)
    assert len(shared.split()) in (51, 52)  # "Human:", and perhaps the same first digit
    other = common_beginning(prompts[0], first_prompt(kind, seed + 1, first))
    assert len(other.split()) <= 1


@given(sets, keys)
def test_every_prompt_is_valid(kind: PromptSet, key: tuple[int, int]) -> None:
    talk = conversation(kind, SIZES, *key)
    answers = [" an answer"] * (len(talk.questions) - 1)
    parsed = parse_prompt(talk.prompt(answers))
    assert len(parsed.turns) >= len(talk.questions)
    assert len(talk.questions) == (3 if kind is PromptSet.MULTI_TURN else 1)
    assert all(len(question.split()) == 20 for question in talk.questions)


def test_each_turn_continues_the_text_of_the_last() -> None:
    talk = Conversation("Begin.", ("a?", "b?"))
    assert talk.prompt([]) == "Begin.\n\nHuman: a?\n\nAssistant:"
    assert talk.prompt([" A."]) == "Begin.\n\nHuman: a?\n\nAssistant: A.\n\nHuman: b?\n\nAssistant:"
