"""Drafts by prompt lookup, without a model: the text to write is known."""

from __future__ import annotations

import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.local.runtimes.llamacpp.lookup import Drafts
from tenuto.engine.local.runtimes.llamacpp.sequence import Sequence

MOST = 15


class Writing:
    """A prompt and the text after it, written with drafts.

    Attributes:
        steps: Number of steps.
        drafted: Tokens of all drafts.
        written: The tokens.
    """

    def __init__(self, prompt: list[int], text: list[int], most: int = MOST) -> None:
        self.steps = self.drafted = 0
        self.written: list[int] = []
        drafts = Drafts()
        sequence = Sequence("", bytearray(array("i", prompt).tobytes()))
        while len(self.written) < len(text):
            rest = text[len(self.written) :]
            draft = array("i", drafts.find(sequence, min(most, len(rest) - 1)))
            assert len(draft) == drafts.size <= most
            right = 0
            while right < len(draft) and draft[right] == rest[right]:
                right += 1
            drafts.accepted(right)
            self.steps += 1
            self.drafted += len(draft)
            self.written += rest[: right + 1]
            sequence.ids += array("i", rest[: right + 1]).tobytes()


def distinct(count: int, seed: int = 1) -> list[int]:
    return random.Random(seed).sample(range(100_000), count)


def test_copied_text_takes_few_steps() -> None:
    text = distinct(128)
    assert Writing([*text, 7, *text[:3]], text[3:]).steps <= 14


def test_copied_text_with_replaced_tokens_takes_few_steps() -> None:
    prompt = distinct(128)
    text = [token + 1_000_000 * (place % 16 == 15) for place, token in enumerate(prompt)]
    writing = Writing([*prompt, 7, *text[:3]], text[3:])
    assert writing.steps <= 25
    assert writing.drafted <= 250


@pytest.mark.parametrize("change", ["inserted", "left out"])
def test_copied_text_with_other_changes_takes_fewer_steps(change: str) -> None:
    prompt = distinct(128)
    text: list[int] = []
    for place, token in enumerate(prompt):
        if place % 16 == 15:
            text += [token + 1_000_000, token] if change == "inserted" else []
        else:
            text.append(token)
    assert Writing([*prompt, 7, *text[:3]], text[3:]).steps <= 64


def test_new_text_has_no_drafts() -> None:
    tokens = distinct(400)
    writing = Writing(tokens[:200], tokens[200:])
    assert (writing.drafted, writing.steps) == (0, 200)


def test_wrong_drafts_pause() -> None:
    """The last three tokens always occur again, with another one after them."""
    text = [token for number in range(100) for token in (1, 2, 3, 1000 + number)]
    assert Writing(text[:8], text[8:]).drafted <= len(text) / 2


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.integers(0, MOST),
)
def test_any_text_is_written(prompt: list[int], text: list[int], most: int) -> None:
    writing = Writing(prompt, text, most)
    assert writing.written == text
    assert writing.steps <= len(text)
