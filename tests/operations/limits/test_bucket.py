"""The laws of a bucket, against its whole history."""

from __future__ import annotations

import random
from typing import TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenuto.operations.limits.bucket import Bucket, Hold
from tests.operations.limits.oracle import MINUTE_NS, History

rates = st.one_of(st.sampled_from([1, 3, 7, 10, 60]), st.integers(1, 2**40))
# The refill has covered four units of the first hold, which must not return a second time.
PARTLY_COVERED = [("take", 0, 0, 5), ("take", 16, 0, 5), ("give back", 0, 0, 12), ("take", 0, 0, 6)]
# A name, the time since the action before in quarters of a unit's refill and nanoseconds, a number.
actions = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "settle", "give back", "give back", "exceed"]),
        st.one_of(st.just(0), st.integers(0, 20)),
        st.sampled_from([0, 0, 1, 2]),
        st.integers(0, 12),
    ),
    max_size=30,
)
Action: TypeAlias = tuple[str, int, int, int]


def replay(capacity: int, per_minute: int, acts: list[Action], *, debts: bool = True) -> History:
    """Run actions on a bucket and on a history, compare both, and return the history."""
    bucket, history = Bucket(capacity, per_minute), History(capacity, per_minute)
    running = []
    now = 0
    for name, quarters, nanoseconds, number in acts:
        now += quarters * MINUTE_NS // (4 * per_minute) + nanoseconds
        if name == "take":
            wait = bucket.wait_for(number, now)
            assert (wait == 0) == (history.used(now) + number <= capacity)
            hold = bucket.take_if(number, now)
            assert (hold is not None) == (wait == 0)
            if hold is not None:
                running.append((hold, history.take(number, now)))
        elif running:
            hold, taken = running.pop(number % len(running))
            if name == "settle":
                bucket.settle(hold, now)
            elif name == "give back":
                unused = number * taken.amount // 12
                taken.amount -= unused
                bucket.settle(hold, now, unused)
            elif debts:
                history.take(number, now)
                bucket.settle(hold, now, -number)
        assert bucket.available(now) == (capacity - history.used(now)) // 1
    return history


@settings(max_examples=600)
@given(st.integers(1, 12), rates, actions)
@example(5, 5, [("take", 0, 0, 5), ("take", 20, 0, 5), ("give back", 0, 0, 12), ("take", 0, 0, 5)])
@example(10, 10, PARTLY_COVERED)
def test_bucket_is_as_if_unused_amounts_had_never_been_taken(
    capacity: int, per_minute: int, acts: list[Action]
) -> None:
    replay(capacity, per_minute, acts)


@settings(max_examples=300)
@given(st.integers(1, 12), rates, actions)
@example(10, 10, PARTLY_COVERED)
def test_no_interval_has_more_than_the_capacity_and_its_refill(
    capacity: int, per_minute: int, acts: list[Action]
) -> None:
    replay(capacity, per_minute, acts, debts=False).assert_law()


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 2**62), st.data())
def test_amount_can_be_taken_after_its_wait_and_not_before(
    capacity: int, per_minute: int, start: int, data: st.DataObject
) -> None:
    bucket = Bucket(capacity, per_minute)
    bucket.take(data.draw(st.integers(0, 2 * capacity)), start)
    now = start + data.draw(st.integers(0, MINUTE_NS))
    amount = data.draw(st.integers(0, capacity))

    wait = bucket.wait_for(amount, now)

    assert wait is not None
    assert bucket.available(now + wait) >= amount
    assert bucket.wait_for(amount, now + wait) == 0
    if wait:
        assert bucket.available(now + wait - 1) < amount
        assert bucket.wait_for(amount, now + wait - 1) == 1


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 2**62), st.data())
def test_bucket_is_full_at_the_reported_moment_and_not_before(
    capacity: int, per_minute: int, start: int, data: st.DataObject
) -> None:
    bucket = Bucket(capacity, per_minute)
    bucket.take(data.draw(st.integers(0, 2 * capacity)), start)
    now = start + data.draw(st.integers(0, MINUTE_NS))

    full_at = bucket.full_at(now)

    assert full_at >= now
    assert bucket.available(full_at) == capacity
    if full_at > now:
        assert bucket.available(full_at - 1) < capacity


def test_amount_above_the_capacity_never_passes() -> None:
    assert Bucket(100).wait_for(101, 0) is None


def test_hundred_a_minute_admit_hundred_at_once_and_one_after_600_ms() -> None:
    bucket = Bucket(100)
    for _ in range(100):
        assert bucket.wait_for(1, 5) == 0
        bucket.settle(bucket.take(1, 5), 5)

    assert bucket.wait_for(1, 5) == 600_000_000
    assert bucket.available(5 + 599_999_999) == 0
    assert bucket.available(5 + 600_000_000) == 1


def test_unused_amount_that_was_refilled_meanwhile_is_not_admitted_twice() -> None:
    bucket = Bucket(100)
    first = bucket.take(100, 0)
    bucket.take(100, MINUTE_NS)
    bucket.settle(first, MINUTE_NS, 100)

    assert bucket.available(MINUTE_NS) == 0


def test_unused_amount_that_was_partly_refilled_meanwhile_returns_in_part() -> None:
    bucket = Bucket(10)
    first = bucket.take(5, 0)
    bucket.take(5, 24_000_000_000)
    assert bucket.available(24_000_000_000) == 4

    bucket.settle(first, 24_000_000_000, 5)
    assert bucket.available(24_000_000_000) == 5


def test_unused_amount_is_available_at_once_in_a_bucket_that_was_never_full() -> None:
    bucket = Bucket(100)
    first, second = bucket.take(50, 0), bucket.take(50, 0)
    bucket.settle(first, MINUTE_NS // 10, 50)
    assert bucket.available(MINUTE_NS // 10) == 60

    bucket.settle(second, MINUTE_NS // 10, 50)
    assert bucket.available(MINUTE_NS // 10) == 100


def test_debt_is_paid_before_anything_is_admitted() -> None:
    bucket = Bucket(60)
    bucket.settle(bucket.take(60, 0), 0, -30)

    assert bucket.available(0) == -30
    assert bucket.wait_for(1, 0) == 31_000_000_000
    assert bucket.full_at(0) == 90_000_000_000


def test_clock_that_goes_back_neither_refills_nor_blocks() -> None:
    bucket = Bucket(60)
    bucket.take(60, 10 * MINUTE_NS)
    bucket.take(30, 10 * MINUTE_NS + 30_000_000_000)

    assert bucket.available(0) == 0
    assert bucket.wait_for(1, 0) == 1_000_000_000
    bucket.take_debt(10, 0)
    assert bucket.available(10 * MINUTE_NS + 40_000_000_000) == 0


@given(st.integers(1, 100), st.integers(1, 100), st.integers(0, MINUTE_NS))
def test_new_capacity_keeps_the_used_amount(old: int, new: int, now: int) -> None:
    bucket = Bucket(old)
    hold = bucket.take(old, 0)
    used = old - old * now / MINUTE_NS

    bucket.resize(new, now)

    assert new - used - 1 - 1e-6 <= bucket.available(now) <= new - used + 1e-6
    bucket.settle(hold, now, old)
    assert bucket.available(now) == new


def test_new_capacity_is_refilled_within_a_minute() -> None:
    bucket = Bucket(60)
    bucket.take(60, 0)
    bucket.resize(600, 0)

    assert bucket.available(0) == 540
    assert bucket.full_at(0) == 6_000_000_000


@pytest.mark.parametrize(("capacity", "per_minute"), [(0, 1), (1, 0), (-1, 1)])
def test_bucket_without_capacity_or_rate_is_refused(capacity: int, per_minute: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Bucket(capacity, per_minute)


def entries(bucket: Bucket) -> int:
    """Return the number of amounts that the bucket remembers."""
    number, entry = 0, bucket._top
    while entry.below is not None:
        number, entry = number + 1, entry.below
    return number


def test_bucket_remembers_no_more_amounts_than_running_requests() -> None:
    # A use slightly above the rate: without joining, each amount would leave an entry for hours.
    choice = random.Random(1)
    bucket, running = Bucket(1000, 60), list[Hold]()
    for number in range(1000):
        now = number * 999_999_999
        running.append(bucket.take(1, now))
        if len(running) > 10:
            bucket.settle(running.pop(choice.randrange(10)), now, choice.choice([0, 0, 0, 1]))
        assert entries(bucket) <= len(running)
    while running:
        bucket.settle(running.pop(), 10**12)
    assert entries(bucket) == 0


def test_refill_covers_the_newest_amount_first() -> None:
    bucket = Bucket(200, 60)
    first, second = bucket.take(100, 0), bucket.take(100, 0)
    now = 150_000_000_000
    bucket.settle(second, now, 100)
    assert bucket.available(now) == 200

    bucket.settle(first, now, 100)
    assert bucket.available(now) == 200


def test_covered_holds_give_back_older_amounts_in_any_order() -> None:
    bucket = Bucket(2000, 60)
    base = bucket.take(1000, 0)
    running = [bucket.take(5, 0) for _ in range(100)]
    now = 500_000_000_000
    assert bucket.available(now) == 1000

    random.Random(2).shuffle(running)
    for hold in running:
        bucket.settle(hold, now, 5)
    assert bucket.available(now) == 1500
    bucket.settle(base, now, 1000)
    assert bucket.available(now) == 2000
