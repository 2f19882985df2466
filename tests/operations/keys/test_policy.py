"""Texts that set the terms of a key, and the errors of wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.operations.keys.policy import (
    PolicyError,
    parse_cost_budget,
    parse_count,
    parse_lifetime,
    parse_limits,
    parse_models,
    parse_token_budget,
)
from tenuto.operations.limits.budget import Budget, Period
from tenuto.operations.limits.limit import KeyLimits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("12h", 43_200),
        ("90d", 7_776_000),
        (" 90 d ", 7_776_000),
        ("1.5h", 5_400),
        ("36500d", 3_153_600_000),
    ],
)
def test_lifetime_is_read_in_seconds(text: str, seconds: int) -> None:
    assert parse_lifetime(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", "`90` has no unit; write it with s, m, h or d, as in `90d`"),
        ("90days", "unknown unit `days`; did you mean `d`?"),
        ("2 minuts", "unknown unit `minuts`; did you mean `m`?"),
        ("3D", "unknown unit `D`; did you mean `d`?"),
        ("5w", "unknown unit `w`; write one of: s, m, h, d"),
        ("", "`` must be a number with a unit, as in `90d`"),
        ("-3d", "`-3d` must be a number with a unit, as in `90d`"),
        ("1e5d", "`1e5d` must be a number with a unit, as in `90d`"),
        ("0d", "`0d` must be from 1s to 36500d"),
        ("36501d", "`36501d` must be from 1s to 36500d"),
        ("0.5s", "`0.5s` must be a whole number of seconds"),
    ],
)
def test_wrong_lifetime_names_the_remedy(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_lifetime(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "number"), [("100", 100), ("20k", 20_000), ("1.5M", 1_500_000), ("2G", 2 * 10**9)]
)
def test_count_is_read_with_its_unit(text: str, number: int) -> None:
    assert parse_count(text) == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5m", "unknown unit `m`; did you mean `M`?"),
        ("5K", "unknown unit `K`; did you mean `k`?"),
        ("5million", "unknown unit `million`; did you mean `M`?"),
        ("5q", "unknown unit `q`; write one of: k, M, G"),
        ("0", "`0` must be above 0 and at most 9007199254740991"),
        ("9007199254740992", "`9007199254740992` must be above 0 and at most 9007199254740991"),
        ("1.00001k", "`1.00001k` must be a whole number of units"),
        ("1,000", "`1,000` must be a number, as in `100`, `20k` or `1.5M`"),
        ("\uff11", "`\uff11` must be a number, as in `100`, `20k` or `1.5M`"),
        ("1\x1b[0m", r"`1\x1b[0m` must be a number, as in `100`, `20k` or `1.5M`"),
    ],
)
def test_wrong_count_names_the_remedy(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_count(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("parse", "text", "budget"),
    [
        (parse_token_budget, "5M/month", Budget(5_000_000, Period.MONTH)),
        (parse_token_budget, "300 / day", Budget(300, Period.DAY)),
        (parse_cost_budget, "20/day", Budget(20_000_000, Period.DAY)),
        (parse_cost_budget, "0.000001/month", Budget(1, Period.MONTH)),
        (parse_cost_budget, "1.5k/month", Budget(1_500_000_000, Period.MONTH)),
        (parse_cost_budget, "9007199254.740991/month", Budget(2**53 - 1, Period.MONTH)),
    ],
)
def test_budget_is_read_with_its_period(
    parse: Callable[[str], Budget], text: str, budget: Budget
) -> None:
    assert parse(text) == budget


@pytest.mark.parametrize("parse", [parse_token_budget, parse_cost_budget])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5/mnth", "unknown period `mnth`; did you mean `month`?"),
        ("5/monthly", "unknown period `monthly`; did you mean `month`?"),
        ("5/Day", "unknown period `Day`; did you mean `day`?"),
        ("5/week", "unknown period `week`; write one of: day, month"),
        ("5/", "unknown period ``; write one of: day, month"),
        ("5/day/day", "unknown period `day/day`; did you mean `day`?"),
        ("5x/day", "unknown unit `x`; write one of: k, M, G"),
        ("/day", "`` must be "),
    ],
)
def test_wrong_budget_names_the_remedy(
    parse: Callable[[str], Budget], text: str, message: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)


def test_budget_without_a_period_names_the_form() -> None:
    with pytest.raises(PolicyError, match=r"`5M` has no period; write it as in `5M/month`"):
        parse_token_budget("5M")
    with pytest.raises(PolicyError, match=r"`20` has no period; write it as in `20/day`"):
        parse_cost_budget("20")


def test_cost_below_a_millionth_is_refused() -> None:
    with pytest.raises(PolicyError, match="whole number of millionths"):
        parse_cost_budget("0.0000001/day")
    with pytest.raises(PolicyError, match="at most 9007199254"):
        parse_cost_budget("9007199255/day")


@given(st.integers(1, 10**9), st.integers(0, 6))
def test_cost_is_exact(millionths: int, places: int) -> None:
    text = f"{millionths // 10**6}.{millionths % 10**6:06d}"

    assert parse_cost_budget(f"{text}{'0' * places}/day").amount == millionths


def test_models_are_read_without_blanks_and_repetitions() -> None:
    assert parse_models("claude-*, qwen,claude-* ") == ("claude-*", "qwen")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a model name is empty; write names with one comma between them"),
        ("a,,b", "a model name is empty; write names with one comma between them"),
        ("a\nb", "a model name has a control character"),
        ("x" * 257, f"`{'x' * 50}…` must have 256 characters at most"),
        (",".join(map(str, range(65))), "65 model names are too many; write 64 at most"),
    ],
)
def test_wrong_models_name_the_remedy(text: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_models(text)
    assert str(caught.value) == message


def test_limits_are_read_by_name() -> None:
    texts = {"requests_per_minute": "100", "input-tokens-per-minute": "20k", "concurrent": "4"}

    assert parse_limits(texts) == KeyLimits(100, 20_000, None, 4)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            {"request_per_min": "1"},
            "unknown limit `request_per_min`; did you mean `requests_per_minute`?",
        ),
        ({"concurrency": "1"}, "unknown limit `concurrency`; did you mean `concurrent`?"),
        ({"x": "1"}, "unknown limit `x`; write one of: requests_per_minute, input_tokens_per"),
        ({"concurrent": "0"}, "concurrent: `0` must be above 0"),
    ],
)
def test_wrong_limit_names_the_nearest_one(texts: dict[str, str], message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_limits(texts)
    assert str(caught.value).startswith(message)


@given(st.text(max_size=200))
def test_no_text_fails_otherwise(text: str) -> None:
    parsers: list[Callable[[str], object]] = [
        *(parse_lifetime, parse_count, parse_token_budget, parse_cost_budget, parse_models)
    ]
    for parse in parsers:
        with suppress(PolicyError):
            parse(text)
