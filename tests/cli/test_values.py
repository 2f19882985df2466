"""Plain values of options are converted as typer does, without an import of pydantic."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.core import TyperOption

from tenuto.cli.commands import load
from tenuto.cli.values import PlainValues

NUMBERS = (
    *("5", "-5", "0", "+5", "05", " 5", "5 ", "1_000", "5.0", "1e3", "", "-", "x"),
    *("\N{ARABIC-INDIC DIGIT FIVE}", "nan"),
)
TEXTS = st.one_of(
    st.sampled_from(NUMBERS), st.integers().map(str), st.floats().map(str), st.text(max_size=8)
)


def option(name: str) -> Any:
    command = load("complete")
    command.make_context("complete", ["Hello"])
    return next(param for param in command.params if param.name == name)


def of_library(param: Any) -> Any:
    return TyperOption.get_runtime_param(param).coerce


def outcome(convert: Any, param: Any, value: Any) -> object:
    """Return the converted value with its type, or the error message."""
    try:
        converted = convert(value, param=param, ctx=None)
    except typer.BadParameter as error:
        return error.format_message()
    return type(converted), repr(converted)


@pytest.mark.parametrize("name", ["max_tokens", "seed", "temperature", "top_p", "model", "raw"])
@given(text=TEXTS)
def test_value_and_error_are_those_of_the_library(name: str, text: str) -> None:
    param = option(name)

    assert outcome(param.get_runtime_param().coerce, param, text) == outcome(
        of_library(param), param, text
    )


@given(texts=st.lists(st.text()))
def test_list_of_texts_is_that_of_the_library(texts: list[str]) -> None:
    param = option("stop")

    assert outcome(param.get_runtime_param().coerce, param, texts) == outcome(
        of_library(param), param, texts
    )


@pytest.mark.parametrize("name", ["max_tokens", "stop", "config"])
def test_absent_option_has_the_value_of_the_library(name: str) -> None:
    param = option(name)
    expected = of_library(param)(None, param=param, ctx=None)

    assert param.get_runtime_param().coerce(None, param=param, ctx=None) == expected


def test_converter_of_the_library_is_left_out_for_a_plain_value() -> None:
    def unexpected() -> Any:
        raise AssertionError

    plain = PlainValues(int, unexpected)

    assert plain.coerce("256", param=option("max_tokens"), ctx=None) == 256
