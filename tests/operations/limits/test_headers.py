"""The documented forms of `anthropic-ratelimit-*`."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.operations.limits.limit import KeyLimits
from tenuto.operations.limits.reservation import Limits
from tests.operations.limits.test_budget import SECOND_NS, at
from tests.operations.limits.test_reservation import reserve

NOW = at("2026-11-20T09:30:00")


def headers(limits: Limits, now: int = NOW) -> dict[str, str]:
    """Return the headers without the beginning of their names."""
    entries = [(name.decode(), text.decode()) for name, text in limits.headers.at(now)]
    assert len({name for name, _ in entries}) == len(entries)
    return {name.removeprefix("anthropic-ratelimit-"): text for name, text in entries}


def test_every_limit_has_its_limit_remaining_and_reset() -> None:
    limits = Limits(KeyLimits(50, 40_000, 8_000))
    reserve(limits, NOW, 10_000, 3_000)

    assert headers(limits) == {
        "requests-limit": "50",
        "requests-remaining": "49",
        "requests-reset": "2026-11-20T09:30:02Z",
        "input-tokens-limit": "40000",
        "input-tokens-remaining": "30000",
        "input-tokens-reset": "2026-11-20T09:30:15Z",
        "output-tokens-limit": "8000",
        "output-tokens-remaining": "5000",
        "output-tokens-reset": "2026-11-20T09:30:23Z",
        "tokens-limit": "8000",
        "tokens-remaining": "5000",
        "tokens-reset": "2026-11-20T09:30:23Z",
    }


def test_only_existing_limits_have_headers() -> None:
    assert headers(Limits(KeyLimits(concurrent=5))) == {}
    assert {name.rpartition("-")[0] for name in headers(Limits(KeyLimits(5)))} == {"requests"}
    assert {name.rpartition("-")[0] for name in headers(Limits(KeyLimits(None, 5)))} == {
        "input-tokens",
        "tokens",
    }


def test_tokens_are_those_of_the_limit_with_the_fewest_left() -> None:
    limits = Limits(KeyLimits(None, 10_000, 50_000))
    assert headers(limits)["tokens-limit"] == "10000"

    reserve(limits, NOW, 0, 45_000)
    assert headers(limits)["tokens-limit"] == "50000"
    assert headers(limits)["tokens-remaining"] == "5000"


@pytest.mark.parametrize(
    ("limit", "used", "remaining"),
    [
        (10_000, 0, 10_000),
        (10_000, 499, 10_000),
        (10_000, 501, 9_000),
        (10_000, 9_499, 1_000),
        (10_000, 9_501, 0),
        (1_700, 0, 1_700),
        (1_000, 400, 1_000),
        (999, 0, 999),
        (999, 499, 500),
        (5, 4, 1),
    ],
)
def test_remaining_tokens_are_rounded_to_1000_unless_the_limit_is_smaller(
    limit: int, used: int, remaining: int
) -> None:
    limits = Limits(KeyLimits(None, limit))
    reserve(limits, NOW, used)

    assert headers(limits)["input-tokens-remaining"] == str(remaining)


def test_remaining_requests_are_exact() -> None:
    limits = Limits(KeyLimits(3000))
    reserve(limits, NOW)

    assert headers(limits)["requests-remaining"] == "2999"


def test_debt_leaves_nothing() -> None:
    limits = Limits(KeyLimits(None, None, 500))
    reserve(limits, NOW, 0, 500).settle(NOW, 0, 900)

    assert headers(limits)["output-tokens-remaining"] == "0"
    assert headers(limits)["output-tokens-reset"] == "2026-11-20T09:31:48Z"


@given(st.integers(1, 10**9), st.integers(0, 10**9), st.integers(NOW, NOW + 10**12))
def test_reset_is_the_first_whole_second_with_a_full_bucket(
    limit: int, used: int, now: int
) -> None:
    limits = Limits(KeyLimits(limit))
    (_, bucket), *_ = limits.buckets()
    bucket.take(min(used, limit), now)

    text = headers(limits, now)["requests-reset"]

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    reset = int(datetime.fromisoformat(text).timestamp()) * SECOND_NS
    assert reset >= now
    assert bucket.available(reset) == limit
    earlier = reset - SECOND_NS
    assert earlier < now or bucket.available(earlier) < limit
