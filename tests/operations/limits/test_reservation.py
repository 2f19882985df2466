"""All limits of one key at once: nothing is lost, and nothing passes twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.operations.limits.budget import Budget, Budgets, Period
from tenuto.operations.limits.limit import KeyLimits, Limit, LimitReached
from tenuto.operations.limits.reservation import Limits, PastRequest, Reservation
from tests.operations.limits.oracle import MINUTE_NS, History

NOW = 1_790_000_000_000_000_000
ALL = KeyLimits(6, 50, 40, 3)


def state(limits: Limits, now: int) -> tuple[object, int, object]:
    """Return everything of limits that a later request could notice, at this moment and later."""
    moments = [now, now + MINUTE_NS // 3, now + MINUTE_NS]
    buckets = [
        (limit, bucket.full_at(now), [bucket.available(each) for each in moments])
        for limit, bucket in limits.buckets()
    ]
    return buckets, limits.running, [limits.spending.spent(period, now) for period in Period]


def reserve(
    limits: Limits, now: int = NOW, input_: int = 1, output: int = 1, cost: int = 0
) -> Reservation:
    reservation = limits.reserve(now, input_tokens=input_, output_tokens=output, cost=cost)
    assert isinstance(reservation, Reservation)
    return reservation


def refused(
    limits: Limits, now: int = NOW, input_: int = 1, output: int = 1, cost: int = 0
) -> LimitReached:
    before = state(limits, now)
    reached = limits.reserve(now, input_tokens=input_, output_tokens=output, cost=cost)
    assert isinstance(reached, LimitReached)
    assert state(limits, now) == before, "a refused request changes nothing"
    return reached


optional = st.one_of(st.none(), st.integers(1, 60))
requests = st.tuples(
    st.one_of(st.integers(0, 5), st.integers(0, MINUTE_NS)),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 20),
)
ends = st.tuples(
    st.sampled_from(["settle", "settle", "unknown", "cancel", "twice", "none"]),
    st.integers(0, 30),
    st.integers(0, 30),
)


@settings(max_examples=300)
@given(
    st.builds(KeyLimits, optional, optional, optional, st.one_of(st.none(), st.integers(1, 4))),
    st.one_of(st.none(), st.integers(1, 300)),
    st.lists(st.tuples(requests, ends, st.integers(0, 100)), max_size=30),
)
def test_limits_admit_as_the_history_allows_and_lose_nothing(
    terms: KeyLimits, budget: int | None, steps: list[tuple[Any, Any, int]]
) -> None:
    cost_budget = None if budget is None else Budget(budget, Period.DAY)
    limits = Limits(terms, Budgets(cost=cost_budget))
    # A bucket without a limit has one that no request reaches.
    numbers = (
        terms.requests_per_minute,
        terms.input_tokens_per_minute,
        terms.output_tokens_per_minute,
    )
    histories = [History(number or 10**9, number or 10**9) for number in numbers]
    running: list[Any] = []
    spent = 0
    now = NOW // 86_400_000_000_000 * 86_400_000_000_000
    for (step, input_, output, cost), (end, used_input, used_output), pick in steps:
        now += step
        amounts = (1, input_, output)
        fits = [
            history.used(now) + amount <= history.capacity
            for history, amount in zip(histories, amounts, strict=True)
        ]
        has_place = terms.concurrent is None or len(running) < terms.concurrent
        has_money = budget is None or not cost or spent + cost <= budget
        if all(fits) and has_place and has_money:
            reservation = reserve(limits, now, input_, output, cost)
            taken = [
                history.take(amount, now)
                for history, amount in zip(histories, amounts, strict=True)
            ]
            spent += cost
            running.append((reservation, taken))
        else:
            reached = refused(limits, now, input_, output, cost)
            assert has_money or reached.limit is not Limit.CONCURRENT
        if running and end != "none":
            reservation, taken = running.pop(pick % len(running))
            used = (1, used_input, used_output)
            if end == "cancel":
                used = (0, 0, 0)
                spent -= reservation.cost
                assert reservation.cancel(now)
            elif end == "unknown":
                used = (1, reservation.input_tokens, reservation.output_tokens)
                assert reservation.settle(now)
            else:
                spent += used_input - reservation.cost
                assert reservation.settle(now, used_input, used_output, used_input)
            if end == "twice":
                before = state(limits, now)
                assert not reservation.settle(now, 0, 0, 0)
                assert not reservation.cancel(now)
                assert state(limits, now) == before
            for history, part, amount in zip(histories, taken, used, strict=True):
                if amount > part.amount:
                    history.take(amount - part.amount, now)
                else:
                    part.amount = amount
        assert limits.running == len(running)
        assert limits.spending.spent(Period.MONTH, now)[1] == spent
    for reservation, _ in running:
        reservation.settle(now)
    assert limits.running == 0
    assert limits.is_idle(now + 100 * MINUTE_NS)


def test_thousand_requests_at_once_on_a_hundred_a_minute_admit_hundred() -> None:
    limits = Limits(KeyLimits(requests_per_minute=100))
    results = [limits.reserve(NOW, input_tokens=5, output_tokens=5) for _ in range(1000)]

    assert sum(isinstance(each, Reservation) for each in results) == 100
    assert limits.running == 100


def test_thousand_requests_at_once_reserve_all_tokens_and_no_more() -> None:
    limits = Limits(KeyLimits(output_tokens_per_minute=1000))
    admitted = 0
    for number in range(1000):
        size = 1 + number % 7
        if isinstance(limits.reserve(NOW, input_tokens=0, output_tokens=size), Reservation):
            admitted += size

    assert admitted == 1000


def test_concurrent_requests_get_their_place_back_for_every_end() -> None:
    limits = Limits(KeyLimits(concurrent=2))
    first, second = reserve(limits), reserve(limits)
    reached = refused(limits)
    assert (reached.limit, reached.maximum, reached.wait_ns) == (Limit.CONCURRENT, 2, None)

    first.settle(NOW, 1, 1)
    third = reserve(limits)
    refused(limits)
    second.cancel(NOW)
    third.settle(NOW)
    assert limits.running == 0


def test_cancelled_request_costs_nothing() -> None:
    limits = Limits(ALL, Budgets(tokens=Budget(100, Period.DAY)))
    before = state(limits, NOW)
    reserve(limits, input_=50, output=40).cancel(NOW)

    assert state(limits, NOW) == before


def test_request_without_known_usage_costs_its_reservation() -> None:
    limits = Limits(ALL)
    reserve(limits, input_=20, output=30).settle(NOW)

    assert [bucket.available(NOW) for _, bucket in limits.buckets()] == [5, 30, 10]


def test_more_usage_than_reserved_is_a_debt() -> None:
    limits = Limits(ALL)
    reserve(limits, input_=1, output=40).settle(NOW, 1, 60)
    reached = refused(limits)

    assert (reached.limit, reached.available) == (Limit.OUTPUT_TOKENS, 0)
    assert reached.wait_ns == 21 * MINUTE_NS // 40


def test_limit_with_the_longest_wait_is_reported() -> None:
    limits = Limits(KeyLimits(6, 60, 60, 1))
    reserve(limits, input_=60, output=30)

    assert refused(limits).limit is Limit.INPUT_TOKENS
    assert refused(limits, input_=1, output=60).limit is Limit.OUTPUT_TOKENS
    assert refused(limits, input_=61).never
    assert refused(limits, now=NOW + MINUTE_NS).limit is Limit.CONCURRENT


def test_budget_refuses_before_its_period_ends() -> None:
    limits = Limits(KeyLimits(), Budgets(tokens=Budget(100, Period.MONTH)))
    running = reserve(limits, input_=20, output=70)
    assert refused(limits, input_=10, output=1).limit is Limit.BUDGET_TOKENS

    running.settle(NOW, 20, 5)
    reserve(limits, input_=10, output=65)
    assert refused(limits).limit is Limit.BUDGET_TOKENS


@pytest.mark.parametrize("amounts", [(-1, 1, 0), (1, -1, 0), (1, 1, -1)])
def test_negative_amounts_are_refused(amounts: tuple[int, int, int]) -> None:
    limits = Limits(ALL)
    reservation = reserve(limits)
    with pytest.raises(ValueError, match="0 or more"):
        reserve(limits, NOW, *amounts)
    with pytest.raises(ValueError, match="0 or more"):
        reservation.settle(NOW, *amounts)

    assert reservation.settle(NOW)


def test_new_limits_keep_used_amounts_and_running_requests() -> None:
    limits = Limits(KeyLimits(10, 100, 100, 2))
    first = reserve(limits, input_=100, output=10)
    limits.change(KeyLimits(20, None, 200, 1), Budgets(), NOW)

    assert refused(limits).limit is Limit.CONCURRENT
    assert [(limit, bucket.available(NOW)) for limit, bucket in limits.buckets()] == [
        (Limit.REQUESTS, 19),
        (Limit.OUTPUT_TOKENS, 190),
    ]
    first.settle(NOW, 100, 0)
    assert [bucket.available(NOW) for _, bucket in limits.buckets()] == [19, 200]


@given(st.lists(st.tuples(st.integers(0, MINUTE_NS), st.integers(0, 9)), max_size=20))
def test_rebuilt_buckets_are_those_before_the_restart(past: list[tuple[int, int]]) -> None:
    before, after = Limits(ALL), Limits(ALL)
    rows = []
    now = NOW
    for step, tokens in past:
        now += step
        result = before.reserve(now, input_tokens=tokens, output_tokens=9)
        if isinstance(result, Reservation):
            result.settle(now, tokens, tokens)
            rows.append(PastRequest(now, tokens, tokens))
    after.rebuild(rows)

    assert state(after, now)[0] == state(before, now)[0]


def test_rebuilt_buckets_without_all_rows_admit_no_more_than_before() -> None:
    limits = Limits(KeyLimits(requests_per_minute=60))
    limits.rebuild([PastRequest(NOW + 1, 1, 1)], since=NOW)
    (_, bucket), *_ = limits.buckets()

    assert bucket.available(NOW + 1) < 0
    assert bucket.available(NOW + MINUTE_NS // 2) == 29
    assert bucket.available(NOW + 2 * MINUTE_NS) == 60


@pytest.mark.parametrize("number", [0, -1, 2**53])
@pytest.mark.parametrize("name", KeyLimits.__dataclass_fields__)
def test_limit_outside_its_bounds_is_refused_by_name(name: str, number: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be from 1 to"):
        KeyLimits(**{name: number})
