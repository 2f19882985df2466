from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.upstream.breaker import Breaker


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(3, 10.0, clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        assert breaker.admits()
        breaker.failed()


def test_some_failures_in_a_row_pause_it(breaker: Breaker, clock: Clock) -> None:
    assert str(breaker) == "ok"
    fail(breaker, 2)
    assert str(breaker) == "2 failures in a row"
    fail(breaker)
    assert not breaker.admits()
    assert breaker.wait_s() == 10
    assert str(breaker) == "paused for 10 s after 3 failures in a row"
    clock.now = 9.9
    assert not breaker.admits()


def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.admits()


def test_after_the_pause_one_probe_decides(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now = 10
    assert str(breaker) == "to be tried again after 3 failures in a row"
    assert breaker.admits()
    assert not breaker.admits()  # One is on its way.
    breaker.succeeded()
    assert (str(breaker), breaker.admits(), breaker.admits()) == ("ok", True, True)


def test_a_probe_that_fails_doubles_the_pause_up_to_sixteen_times(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.wait_s())
        clock.now += pauses[-1]
        fail(breaker)
    assert pauses == [10, 20, 40, 80, 160, 160, 160]
    clock.now += 160
    assert breaker.admits()
    breaker.succeeded()
    fail(breaker, 3)
    assert breaker.wait_s() == 10


def test_a_probe_that_nobody_waited_for_is_sent_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now = 10
    assert breaker.admits()
    breaker.abandoned()
    assert breaker.admits()


def test_requests_that_were_under_way_do_not_lengthen_the_pause(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, 3)
    breaker.failed()
    assert breaker.wait_s() == 10


@given(st.lists(st.sampled_from(["ask", "succeed", "fail", "abandon", "wait"])))
def test_it_never_stays_shut(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(2, 1.0, clock)
    for step in steps:
        match step:
            case "ask":
                breaker.admits()
            case "succeed":
                breaker.succeeded()
            case "fail":
                breaker.failed()
            case "abandon":
                breaker.abandoned()
            case _:
                clock.now += 0.5
    breaker.abandoned()
    clock.now += 16
    assert breaker.admits()
