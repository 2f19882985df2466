"""Sums of calendar periods, across their borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.operations.limits.budget import Budget, Budgets, Period, Spending
from tenuto.operations.limits.limit import Limit, LimitReached

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


def at(text: str) -> int:
    """Return a moment in UTC, in nanoseconds since 1970."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("period", "moment", "begin", "end"),
    [
        (Period.DAY, "2026-11-20T00:00:00", "2026-11-20", "2026-11-21"),
        (Period.DAY, "2026-11-20T23:59:59.999999", "2026-11-20", "2026-11-21"),
        (Period.DAY, "2028-02-28T12:00:00", "2028-02-28", "2028-02-29"),
        (Period.DAY, "2028-02-29T12:00:00", "2028-02-29", "2028-03-01"),
        (Period.DAY, "2026-12-31T12:00:00", "2026-12-31", "2027-01-01"),
        (Period.MONTH, "2026-11-01T00:00:00", "2026-11-01", "2026-12-01"),
        (Period.MONTH, "2026-12-31T23:59:59.999999", "2026-12-01", "2027-01-01"),
        (Period.MONTH, "2026-02-28T12:00:00", "2026-02-01", "2026-03-01"),
        (Period.MONTH, "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        (Period.MONTH, "2100-02-28T12:00:00", "2100-02-01", "2100-03-01"),
        (Period.MONTH, "2026-01-31T12:00:00", "2026-01-01", "2026-02-01"),
    ],
)
def test_period_begins_and_ends_by_the_calendar_of_utc(
    period: Period, moment: str, begin: str, end: str
) -> None:
    assert period.bounds(at(moment)) == (at(begin), at(end))


@given(st.sampled_from(Period), st.integers(0, 100_000 * DAY_NS))
def test_every_moment_is_in_one_period(period: Period, now: int) -> None:
    begins, ends = period.bounds(now)

    assert begins <= now < ends
    assert period.bounds(begins) == period.bounds(ends - 1) == (begins, ends)
    assert period.bounds(ends)[0] == ends
    assert period.bounds(begins - 1)[1] == begins if begins else True


@given(
    st.integers(0, 40_000 * DAY_NS),
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, DAY_NS), st.sampled_from([0, 31 * DAY_NS])),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
        max_size=25,
    ),
    st.randoms(use_true_random=False),
)
def test_sums_are_those_of_all_requests_of_the_period_whenever_they_end(
    now: int, requests: list[tuple[int, int, int]], choice: Random
) -> None:
    spending = Spending()
    ledger: list[list[int]] = []
    running = []
    for step, reserved, used in requests:
        now += step
        ledger.append([now, reserved, 10 * reserved])
        running.append((ledger[-1], spending.add(now, reserved, 10 * reserved), used))
        if choice.random() < 0.6:
            row, added_at, used = running.pop(choice.randrange(len(running)))
            spending.correct(added_at, used - row[1], 7 * used - row[2])
            row[1:] = used, 7 * used
        for period in Period:
            begins, ends = period.bounds(now)
            rows = [row for row in ledger if begins <= row[0] < ends]
            sums = (sum(row[1] for row in rows), sum(row[2] for row in rows))
            assert spending.spent(period, now) == sums


def test_reservation_counts_until_its_correction() -> None:
    spending = Spending()
    now = at("2026-11-20T12:00:00")
    added_at = spending.add(now, 1000, 50)
    assert spending.spent(Period.DAY, now) == (1000, 50)

    spending.correct(added_at, -900, -45)
    assert spending.spent(Period.DAY, now) == (100, 5)


def test_request_over_midnight_counts_to_the_day_of_its_admission() -> None:
    spending = Spending()
    added_at = spending.add(at("2026-11-30T23:59:59"), 1000, 0)
    spending.add(at("2026-12-01T00:00:00"), 7, 0)
    spending.correct(added_at, -900, 0)

    assert spending.spent(Period.DAY, at("2026-12-01T00:00:01")) == (7, 0)
    assert spending.spent(Period.MONTH, at("2026-12-01T00:00:01")) == (7, 0)


def test_new_day_keeps_the_sum_of_the_month() -> None:
    spending = Spending()
    spending.add(at("2026-11-20T12:00:00"), 10, 1)
    spending.add(at("2026-11-21T12:00:00"), 20, 2)

    assert spending.spent(Period.DAY, at("2026-11-21T13:00:00")) == (20, 2)
    assert spending.spent(Period.MONTH, at("2026-11-21T13:00:00")) == (30, 3)
    assert spending.spent(Period.DAY, at("2026-11-22T00:00:00")) == (0, 0)


def test_sums_of_the_ledger_replace_those_in_memory() -> None:
    spending = Spending()
    now = at("2026-11-20T12:00:00")
    spending.restore(Period.MONTH, now, 900, 90)
    spending.restore(Period.DAY, now, 100, 10)
    spending.add(now, 1, 1)

    assert spending.spent(Period.MONTH, now) == (901, 91)
    assert spending.spent(Period.DAY, now) == (101, 11)


def test_clock_that_goes_back_over_midnight_loses_no_amount() -> None:
    spending = Spending()
    spending.add(at("2026-11-20T00:00:01"), 5, 0)
    added_at = spending.add(at("2026-11-19T23:59:59"), 5, 0)
    spending.correct(added_at, 1, 0)

    assert spending.spent(Period.DAY, at("2026-11-20T00:00:02")) == (11, 0)


def exceeded(budgets: Budgets, *, tokens: int = 0, cost: int = 0) -> list[LimitReached]:
    spending = Spending()
    now = at("2026-11-20T12:00:00")
    spending.add(now, 90, 90)
    return spending.exceeded(budgets, now, tokens, cost)


def test_budget_is_usable_to_its_last_token() -> None:
    budgets = Budgets(tokens=Budget(100, Period.DAY))

    assert exceeded(budgets, tokens=10) == []
    assert exceeded(budgets, tokens=11) == [
        LimitReached(Limit.BUDGET_TOKENS, 100, 11, 10, 12 * 3600 * SECOND_NS, "day")
    ]


def test_exhausted_cost_budget_waits_for_the_next_month() -> None:
    (reached,) = exceeded(Budgets(cost=Budget(90, Period.MONTH)), tokens=1, cost=1)

    assert reached.limit is Limit.BUDGET_COST
    assert reached.available == 0
    assert reached.wait_ns == at("2026-12-01") - at("2026-11-20T12:00:00")


def test_amount_above_the_whole_budget_never_passes() -> None:
    (reached,) = exceeded(Budgets(tokens=Budget(100, Period.DAY)), tokens=101)

    assert reached.never
    assert reached.wait_ns is None


def test_free_model_passes_an_exhausted_cost_budget() -> None:
    assert exceeded(Budgets(cost=Budget(1, Period.DAY)), tokens=1000, cost=0) == []


@pytest.mark.parametrize("amount", [0, -1, 2**53])
def test_budget_outside_its_bounds_is_refused(amount: int) -> None:
    with pytest.raises(ValueError, match="a budget must be from 1"):
        Budget(amount, Period.DAY)
