"""The similarity of two texts."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.compare.similarity import likeness

TEXTS = st.text(max_size=300)


def similarity(a: str, b: str) -> float:
    return likeness(a, b).similarity


@given(TEXTS, TEXTS)
def test_similarity_is_symmetric_and_between_0_and_1(a: str, b: str) -> None:
    assert 0 <= similarity(a, b) == similarity(b, a) <= 1


@given(TEXTS)
def test_similarity_with_itself_is_1(text: str) -> None:
    assert similarity(text, text) == 1
    assert likeness(text, f" {text} ") == (True, 1)


def test_similarity_falls_with_each_difference() -> None:
    text = "The capital of France is Paris, on the Seine."
    other_words = "The capital of France is Lyon, on the Rhone."
    other_order = "Paris, on the Seine, is the capital of France."
    nothing = "Bonjour tout monde"

    assert 1 > similarity(text, other_words) > similarity(text, nothing) == 0
    assert 1 > similarity(text, other_order) > 0.5


@pytest.mark.parametrize(
    ("a", "b"), [("東京は日本の首都です", "東京は日本の都市です"), ("서울은 수도", "서울은 도시")]
)
def test_scripts_without_spaces_are_compared_by_character(a: str, b: str) -> None:
    assert 0.3 < similarity(a, b) < 1


def test_long_texts_take_no_longer_than_their_beginning() -> None:
    a, b = "word " * 400_000, "other " * 400_000
    start = process_time()
    similarity(a, b)
    assert process_time() - start < 0.2


def test_long_white_space_at_the_beginning_counts_as_equal() -> None:
    assert similarity(" " * 20_000 + "a", " " * 20_000 + "b") == 1


def test_texts_that_differ_in_case_and_white_space_are_the_same_normalised() -> None:
    assert likeness(" A\n  b", "a B ") == (True, 1)
    assert not likeness("a b", "ab").normalised
