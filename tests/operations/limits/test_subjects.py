"""The memory of keys and addresses: bounded, and never a reset of a limit."""

from __future__ import annotations

import gc
import random
import tracemalloc

import pytest

from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.limits.budget import Budget, Budgets, Period
from tenuto.operations.limits.limit import KeyLimits, LimitReached
from tenuto.operations.limits.reservation import Limits, Reservation
from tenuto.operations.limits.subjects import AddressSubjects, KeySubjects
from tests.operations.limits.oracle import MINUTE_NS
from tests.operations.limits.test_reservation import NOW, refused, reserve

ONE = KeyLimits(requests_per_minute=1)


def key(id_: int, limits: KeyLimits = ONE, budgets: Budgets | None = None) -> KeyEntry:
    return KeyEntry(
        id_, f"key {id_}", bytes([id_] * 32), limits=limits, budgets=budgets or Budgets()
    )


def admits(limits: Limits | None, now: int = NOW) -> bool:
    """Send a request that ends at once."""
    assert limits is not None
    result = limits.reserve(now, input_tokens=1, output_tokens=1)
    return isinstance(result, Reservation) and result.settle(now)


def test_keys_have_limits_of_their_own() -> None:
    keys = KeySubjects({1: key(1), 2: key(2)})

    assert admits(keys.limits_of(1))
    assert not admits(keys.limits_of(1))
    assert admits(keys.limits_of(2))


def test_unknown_key_has_no_limits() -> None:
    with pytest.raises(KeyError):
        KeySubjects({}).limits_of(1)


def test_changed_key_keeps_its_used_amounts() -> None:
    keys = KeySubjects({1: key(1, KeyLimits(5)), 2: key(2)})
    for _ in range(5):
        reserve(keys.limits_of(1))
    keys.change({1: key(1, KeyLimits(6), Budgets(tokens=Budget(1, Period.DAY)))}, NOW)

    assert refused(keys.limits_of(1), output=0).period == "day"
    assert isinstance(keys.limits_of(1).reserve(NOW, input_tokens=0, output_tokens=0), Reservation)
    with pytest.raises(KeyError):
        keys.limits_of(2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
        ("2001:db8::1", "2001:db8::2"),
        ("2001:db8::1", "2001:0db8:0:0:ffff::"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("-", "-"),
    ],
)
def test_address_has_one_limit(first: str, second: str) -> None:
    addresses = AddressSubjects(ONE)

    assert admits(addresses.limits_of(first, NOW))
    assert not admits(addresses.limits_of(second, NOW))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("::", "0.0.0.0"),
        ("::1", "127.0.0.1"),
        ("-", "192.0.2.1"),
    ],
)
def test_other_address_has_another_limit(first: str, second: str) -> None:
    addresses = AddressSubjects(ONE)

    assert admits(addresses.limits_of(first, NOW))
    assert admits(addresses.limits_of(second, NOW))


def test_many_addresses_neither_reset_a_limit_nor_grow_the_memory() -> None:
    addresses = AddressSubjects(ONE, max_addresses=64)
    assert admits(addresses.limits_of("192.0.2.1", NOW))
    refused_for_room = 0
    for number in range(10_000):
        now = NOW + number * 1_000
        limits = addresses.limits_of(f"10.0.{number >> 8}.{number & 255}", now)
        refused_for_room += limits is None
        if limits is not None:
            admits(limits, now)
        assert len(addresses) <= 64

    assert refused_for_room == 10_000 - 63
    assert not admits(addresses.limits_of("192.0.2.1", NOW + MINUTE_NS - 1))


def test_addresses_with_full_buckets_are_forgotten() -> None:
    addresses = AddressSubjects(ONE, max_addresses=64)
    for number in range(64):
        assert admits(addresses.limits_of(f"10.0.0.{number}", NOW))
    assert addresses.limits_of("192.0.2.1", NOW + MINUTE_NS - 1) is None

    assert admits(addresses.limits_of("192.0.2.1", NOW + MINUTE_NS))
    assert len(addresses) < 64


def test_address_with_a_running_request_is_not_forgotten() -> None:
    addresses = AddressSubjects(KeyLimits(concurrent=1), max_addresses=16)
    limits = addresses.limits_of("192.0.2.1", NOW)
    assert limits is not None
    running = reserve(limits)
    for number in range(100):
        assert addresses.limits_of(f"10.0.0.{number}", NOW) is not None

    assert addresses.limits_of("192.0.2.1", NOW) is limits
    running.settle(NOW)


def test_one_network_of_ipv6_does_not_take_all_room() -> None:
    addresses = AddressSubjects(ONE, max_addresses=160)
    admitted = 0
    for number in range(200):
        limits = addresses.limits_of(f"2001:db8:0:{number:x}::1", NOW)
        admitted += limits is not None and admits(limits)

    assert admitted == 10
    assert admits(addresses.limits_of("2001:db8:1::1", NOW))
    assert admits(addresses.limits_of("192.0.2.1", NOW))


def test_network_of_ipv6_has_room_again_after_a_minute() -> None:
    addresses = AddressSubjects(ONE, max_addresses=32)
    assert admits(addresses.limits_of("2001:db8:0:1::1", NOW))
    assert admits(addresses.limits_of("2001:db8:0:2::1", NOW))
    assert addresses.limits_of("2001:db8:0:3::1", NOW) is None

    for number in range(100):
        now = NOW + (number + 1) * MINUTE_NS
        assert admits(addresses.limits_of(f"2001:db8:0:{number:x}::1", now), now)


def test_addresses_without_limits_need_no_memory() -> None:
    addresses = AddressSubjects(KeyLimits())

    assert all(admits(addresses.limits_of(f"10.0.0.{number}", NOW)) for number in range(256))
    assert len(addresses) == 0


def test_new_limits_of_addresses_keep_used_amounts() -> None:
    addresses = AddressSubjects(ONE)
    assert admits(addresses.limits_of("192.0.2.1", NOW))
    addresses.change(KeyLimits(requests_per_minute=2), NOW)

    assert admits(addresses.limits_of("192.0.2.1", NOW))
    assert not admits(addresses.limits_of("192.0.2.1", NOW))


def test_thousands_of_requests_leave_no_memory_behind() -> None:
    limits = Limits(KeyLimits(10**6, 10**9, 10**9, 100))
    choice = random.Random(3)
    running: list[Reservation] = []

    def send(count: int, now: int) -> int:
        for _ in range(count):
            now += choice.randrange(100_000)
            result = limits.reserve(now, input_tokens=900, output_tokens=4000)
            if not isinstance(result, LimitReached):
                running.append(result)
            if len(running) > 50:
                running.pop(choice.randrange(50)).settle(now, 900, choice.randrange(5000))
        return now

    now = send(2_000, NOW)
    gc.collect()
    tracemalloc.start()
    try:
        now = send(2_000, now)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        send(20_000, now)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()
