from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.upstream.breaker import Attempt, Breaker


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
        admitted(breaker).end(False)


def admitted(breaker: Breaker) -> Attempt:
    attempt = breaker.admit()
    assert attempt is not None
    return attempt


def test_consecutive_failures_open_the_breaker(breaker: Breaker, clock: Clock) -> None:
    assert str(breaker.health()) == "ok"
    fail(breaker, 2)
    assert str(breaker.health()) == "2 consecutive failures"
    fail(breaker)
    assert not breaker.admit()
    assert breaker.health().pause_s == 10
    assert str(breaker.health()) == "paused for 10 s after 3 consecutive failures"
    clock.now = 9.9
    assert not breaker.admit()


def test_success_resets_the_failure_count(breaker: Breaker) -> None:
    fail(breaker, 2)
    admitted(breaker).end(True)
    fail(breaker, 2)
    assert breaker.admit()


def test_one_probe_is_admitted_after_the_pause(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now = 10
    assert str(breaker.health()) == "waiting for a probe after 3 consecutive failures"
    probe = admitted(breaker)
    assert not breaker.admit()  # One is on its way.
    probe.end(True)
    assert (str(breaker.health()), bool(breaker.admit()), bool(breaker.admit())) == (
        "ok",
        True,
        True,
    )


def test_failed_probe_doubles_the_pause_up_to_sixteen_times(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    pauses = []
    for _ in range(7):
        pauses.append(breaker.health().pause_s or 0.0)
        clock.now += pauses[-1]
        fail(breaker)
    assert pauses == [10, 20, 40, 80, 160, 160, 160]
    clock.now += 160
    admitted(breaker).end(True)
    fail(breaker, 3)
    assert breaker.health().pause_s == 10


def test_abandoned_probe_is_sent_again(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now = 10
    admitted(breaker).end(None)
    assert breaker.admit()


def test_probe_with_a_long_response_admits_other_requests(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now = 10
    probe = admitted(breaker)
    probe.responded()
    admitted(breaker).end(None)
    # It has begun to answer, which does not yet show that it is well.
    assert str(breaker.health()) == "waiting for a probe after 3 consecutive failures"
    probe.end(False)
    assert (breaker.admit(), breaker.health().pause_s) == (None, 20)


def test_requests_in_flight_do_not_change_the_pause(breaker: Breaker, clock: Clock) -> None:
    failing, well = admitted(breaker), admitted(breaker)
    fail(breaker, 3)
    failing.end(False)
    well.end(True)
    assert breaker.health().pause_s == 10


def test_second_end_of_an_attempt_is_ignored(breaker: Breaker) -> None:
    attempt = admitted(breaker)
    attempt.end(False)
    attempt.end(True)
    assert str(breaker.health()) == "1 consecutive failure"


@given(st.lists(st.sampled_from(["ask", "answer", "succeed", "fail", "abandon", "wait"])))
def test_breaker_never_stays_open_forever(steps: list[str]) -> None:
    clock = Clock()
    breaker = Breaker(2, 1.0, clock)
    running: list[Attempt] = []
    for step in steps:
        match step:
            case "ask":
                running += filter(None, [breaker.admit()])
            case "answer" if running:
                running[0].responded()
            case "succeed" if running:
                running.pop(0).end(True)
            case "fail" if running:
                running.pop(0).end(False)
            case "abandon" if running:
                running.pop(0).end(None)
            case _:
                clock.now += 0.5
    for attempt in running:
        attempt.end(None)
    clock.now += 16
    assert breaker.admit()
