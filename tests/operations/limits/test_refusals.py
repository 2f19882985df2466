"""Refusals of limits: when to retry, and what the caller reads."""

from __future__ import annotations

import pytest

from tenuto.core.refusal import Kind
from tenuto.operations.limits.limit import Limit, LimitReached
from tenuto.operations.limits.refusals import amount_of_money, duration, limit_refusal
from tests.operations.limits.test_budget import SECOND_NS, at

NOW = at("2026-11-20T12:00:00")


def test_wait_within_a_minute_is_rounded_up_to_a_second() -> None:
    refusal = limit_refusal(LimitReached(Limit.REQUESTS, 100, 1, 0, 2_000_000_001), NOW)

    assert refusal.kind is Kind.RATE_LIMITED
    assert refusal.retry_after == 3
    assert refusal.retryable is None
    assert refusal.message == (
        "The limit of 100 requests per minute is reached. Retry in 3 seconds."
    )


def test_shortest_wait_is_a_second_because_clients_ignore_0() -> None:
    assert limit_refusal(LimitReached(Limit.REQUESTS, 9, 1, 0, 1), NOW).retry_after == 1


def test_message_has_the_needed_and_the_remaining_tokens() -> None:
    reached = LimitReached(Limit.OUTPUT_TOKENS, 8_000, 4_096, 1_200, 22 * SECOND_NS)

    assert limit_refusal(reached, NOW).message == (
        "The limit of 8,000 output tokens per minute is reached: this request needs up to 4,096, "
        "and 1,200 are left. Retry in 22 seconds."
    )


@pytest.mark.parametrize(
    ("wait_ns", "retryable"), [(60 * SECOND_NS, None), (60 * SECOND_NS + 1, False)]
)
def test_wait_above_a_minute_is_not_retried(wait_ns: int, retryable: bool | None) -> None:
    refusal = limit_refusal(LimitReached(Limit.INPUT_TOKENS, 9, 1, 0, wait_ns), NOW)

    assert refusal.retryable is retryable
    assert refusal.retry_after == -(-wait_ns // SECOND_NS)


@pytest.mark.parametrize(
    ("limit", "remedy"),
    [
        (Limit.INPUT_TOKENS, "Shorten the prompt, or"),
        (Limit.OUTPUT_TOKENS, "Lower `max_tokens_to_sample`, or"),
        (Limit.BUDGET_TOKENS, "Shorten the prompt or lower `max_tokens_to_sample`, or"),
    ],
)
def test_request_above_the_whole_limit_never_passes(limit: Limit, remedy: str) -> None:
    refusal = limit_refusal(LimitReached(limit, 100, 101, 100, None), NOW)

    assert refusal.retryable is False
    assert refusal.retry_after is None
    assert "this request needs up to 101" in refusal.message
    assert f"It can never pass. {remedy}" in refusal.message


def test_running_requests_are_retried_after_a_second() -> None:
    refusal = limit_refusal(LimitReached(Limit.CONCURRENT, 4, 1, 0, None), NOW)

    assert refusal.retry_after == 1
    assert refusal.retryable is None
    assert refusal.message.startswith("The limit of 4 running requests is reached.")


def test_used_up_budget_has_the_moment_of_the_next_period() -> None:
    wait_ns = at("2026-12-01") - NOW
    reached = LimitReached(Limit.BUDGET_TOKENS, 5_000_000, 700, 12, wait_ns, "month")
    refusal = limit_refusal(reached, NOW)

    assert refusal.retryable is False
    assert refusal.retry_after == wait_ns // SECOND_NS
    assert refusal.message == (
        "The budget of 5,000,000 tokens per month is reached: this request needs up to 700, and "
        "12 are left. Retry in 10 days 12 hours, at 2026-12-01T00:00:00Z."
    )


def test_budget_is_not_retried_even_shortly_before_midnight() -> None:
    now = at("2026-11-20T23:59:30.5")
    reached = LimitReached(Limit.BUDGET_COST, 20_000_000, 1_500, 0, 29_500_000_000, "day")
    refusal = limit_refusal(reached, now)

    assert refusal.retryable is False
    assert refusal.retry_after == 30
    assert "The budget of 20 per day is reached: this request needs up to 0.0015," in (
        refusal.message
    )
    assert refusal.message.endswith("Retry in 30 seconds, at 2026-11-21T00:00:00Z.")


@pytest.mark.parametrize(
    ("micro_units", "text"),
    [(1, "0.000001"), (1_500_000, "1.5"), (20_000_000, "20"), (0, "0"), (1_200_000_000, "1,200")],
)
def test_money_has_no_needless_zeros(micro_units: int, text: str) -> None:
    assert amount_of_money(micro_units) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (121, "3 minutes"),
        (3_600, "1 hour"),
        (3_601, "1 hour 1 minute"),
        (7_260, "2 hours 1 minute"),
        (86_400, "1 day"),
        (90_001, "1 day 2 hours"),
    ],
)
def test_duration_is_rounded_up_to_its_two_largest_units(seconds: int, text: str) -> None:
    assert duration(seconds) == text
