"""A timer that is moved often, on a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.lazy_timer import LazyTimer


class Clock:
    """Part of an event loop: its time and its timers."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: dict[int, tuple[float, Callable[[], None]]] = {}
        self.set_timers = 0

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, callback: Callable[[], None]) -> SimpleNamespace:
        self.set_timers += 1
        number = self.set_timers
        self.timers[number] = due, callback
        return SimpleNamespace(cancel=lambda: self.timers.pop(number, None))

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.timers and (first := min(self.timers.items(), key=lambda one: one[1][0])):
            number, (due, callback) = first
            if due > until:
                break
            del self.timers[number]
            self.now = max(self.now, due)
            callback()
        self.now = until


def timer_on(clock: Clock, calls: list[float]) -> LazyTimer:
    loop = cast(asyncio.AbstractEventLoop, clock)
    return LazyTimer(loop, lambda: calls.append(clock.now))


STEP = st.one_of(
    st.tuples(st.just("start"), st.integers(1, 20)),
    st.tuples(st.just("advance"), st.integers(0, 15)),
    st.tuples(st.sampled_from(["stop", "close"]), st.just(0)),
)


@given(st.lists(STEP))
def test_callback_is_called_at_the_time_of_the_last_start(steps: list[tuple[str, int]]) -> None:
    clock, calls, expected = Clock(), list[float](), list[float]()
    timer, due = timer_on(clock, calls), None
    for step, seconds in [*steps, ("advance", 100)]:
        if step == "start":
            timer.start(seconds)
            due = clock.now + seconds
        elif step == "advance":
            clock.advance(seconds)
            if due is not None and due <= clock.now:
                expected.append(due)
                due = None
        else:
            getattr(timer, step)()
            due = None
    assert calls == expected


def test_moving_a_timer_sets_few_timers_of_the_event_loop() -> None:
    clock, calls = Clock(), list[float]()
    timer = timer_on(clock, calls)
    for _ in range(1000):
        timer.start(10)
        clock.advance(0.1)
    assert clock.set_timers <= 12
    assert not calls


@pytest.mark.parametrize("when", ["before it fires", "after a stop"])
def test_closed_timer_leaves_nothing_in_the_event_loop(when: str) -> None:
    clock = Clock()
    timer = timer_on(clock, [])
    timer.start(10)
    if when == "after a stop":
        timer.stop()
    timer.close()
    assert not clock.timers
