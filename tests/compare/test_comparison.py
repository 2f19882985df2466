"""The line of a comparison."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.compare.answer import LEFT, Answer, is_json
from tenuto.compare.comparison import Pair, Purpose, line_of


def line(a: Answer, b: Answer, **fields: Any) -> dict[str, Any]:
    pair = Pair("req_1", 1_795_737_600.25, Purpose.SHADOW, "claude-2", a, b, **fields)
    written = line_of(pair)
    assert "\n" not in written
    read: dict[str, Any] = json.loads(written)
    return read


def test_equal_answers_are_exact_and_differ_in_nothing() -> None:
    fields = line(Answer(text=" Paris.", end="turn"), Answer(text=" Paris.", end="turn"))
    assert (fields["exact"], fields["normalised"], fields["same_end"]) == (True, True, True)
    assert (fields["length"], fields["similarity"]) == (1.0, 1.0)


def test_answers_that_differ_in_white_space_are_equal_normalised() -> None:
    fields = line(Answer(text=" Paris.", end="turn"), Answer(text="paris.\n", end="length"))
    assert (fields["exact"], fields["normalised"], fields["similarity"]) == (False, True, 1.0)
    assert fields["same_end"] is False


def test_half_a_surrogate_pair_is_kept_as_an_escape() -> None:
    fields = line(Answer(text="a", end="turn"), Answer(text="b", end="turn"), prompt="\ud800")
    assert fields["texts"]["prompt"] == "\ud800"


@given(names=st.lists(st.text(max_size=20), min_size=6, max_size=6), number=st.floats(0, 1e12))
def test_line_is_json_with_any_names_and_texts(names: list[str], number: float) -> None:
    a, b, requested, to, warning, text = names
    first = Answer(upstream=a, text=text, end="turn", cost=number, total_ms=number)
    second = Answer(model=b, text=a, end="turn", first_ms=number, warnings=(warning,))
    pair = Pair(a, 0.0, Purpose.NOISE, requested, first, second, to, prompt=text, spent=3)
    read = json.loads(line_of(pair))

    assert (read["id"], read["requested"], read["to"], read["spent"]) == (a, requested, to, 3)
    assert (read["a"]["upstream"], read["a"]["cost"]) == (a, number)
    assert (read["b"]["model"], read["b"]["warnings"]) == (b, [warning])
    assert read["texts"] == {"prompt": text, "a": text, "b": a}
    assert read["at"] == "1970-01-01T00:00:00.000+00:00"


def test_time_has_milliseconds() -> None:
    assert line(Answer(), Answer())["at"] == "2026-11-27T00:00:00.250+00:00"


def test_other_stop_sequence_is_another_end() -> None:
    a, b = Answer(text="a", end="stop", stop="x"), Answer(text="a", end="stop", stop="y")
    assert line(a, b)["same_end"] is False


@pytest.mark.parametrize("texts", [("", ""), ("a", ""), ("", "a")])
def test_empty_answers_have_a_length_ratio_only_if_it_is_a_number(texts: tuple[str, str]) -> None:
    fields = line(Answer(text=texts[0], end="turn"), Answer(text=texts[1], end="turn"))
    assert fields["length"] == {("", ""): 1.0, ("a", ""): 0.0, ("", "a"): None}[texts]


def test_broken_answer_is_not_compared() -> None:
    fields = line(Answer(text="Par", error=LEFT), Answer(text="Paris", end="turn"))
    assert not fields.keys() & {"exact", "similarity", "length"}
    assert "chars" not in fields["a"]


@pytest.mark.parametrize(
    ("text", "prefill", "valid"),
    [
        ('{"a": 1}', "", True),
        (" [1, 2]\n", "", True),
        ('```json\n{"a": 1}\n```', "", True),
        ('"a": 1}', " {", True),
        ('"a": 1}', "", False),
        ("12", "", False),
        ("Paris", "", False),
        ('{"a": 1} and more', "", False),
        ("[" * 100_000, "", False),
        ("[" + "9" * 10_000 + "]", "", False),
    ],
)
def test_json_is_an_object_or_a_list_alone(text: str, prefill: str, valid: bool) -> None:
    assert is_json(text, prefill) is valid
