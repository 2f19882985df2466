"""A circuit breaker: pause an upstream after consecutive failures. Without a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tenuto.engine.base import UpstreamHealth

_MAX_FACTOR: Final = 16
"""Longest pause, as a multiple of the first one."""


class Attempt:
    """A request to the upstream. `pauses_before` counts the breaker's pauses until then."""

    __slots__ = ("_breaker", "_ended", "pauses_before")

    def __init__(self, breaker: Breaker, pauses_before: int) -> None:
        self._breaker = breaker
        self._ended = False
        self.pauses_before: int = pauses_before

    def responded(self) -> None:
        """Report that the response has begun. A probe then admits other requests beside it."""
        self._breaker._release(self)

    def end(self, healthy: bool | None) -> None:
        """Report the outcome; only the first one counts.

        Args:
            healthy: Whether the upstream is healthy; None if the outcome proves nothing.
        """
        if not self._ended:
            self._ended = True
            self._breaker._end(self, healthy)


class Breaker:
    """Decide when to send requests, by counting consecutive failures.

    After `failures` of them no request is sent for `pause_s`. Then one request is a probe: its
    success ends the pause, its failure doubles the next one.

    Args:
        failures: Consecutive failures before a pause, 1 or more.
        pause_s: Length of the first pause in seconds.
        clock: Seconds from any point in time.
    """

    def __init__(self, failures: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._max_failures = failures
        self._first_pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._next_factor = 1
        self._until: float | None = None
        self._probe: Attempt | None = None
        self._pauses = 0

    def admit(self) -> Attempt | None:
        """Return an attempt to send a request now, or None during a pause or a probe."""
        attempt = Attempt(self, self._pauses)
        if self._until is not None:
            if self._probe is not None or self._clock() < self._until:
                return None
            self._probe = attempt
        return attempt

    def health(self) -> UpstreamHealth:
        """Return the failures so far and the rest of the pause."""
        pause_s = None if self._until is None else max(0.0, self._until - self._clock())
        return UpstreamHealth(self._failures, pause_s)

    def _release(self, attempt: Attempt) -> bool:
        is_probe = attempt is self._probe
        if is_probe:
            self._probe = None
        return is_probe

    def _end(self, attempt: Attempt, healthy: bool | None) -> None:
        was_probe = self._release(attempt)
        # A request from before a pause proves nothing about the upstream after it.
        if healthy is None or attempt.pauses_before != self._pauses:
            return
        if healthy:
            self._failures, self._next_factor, self._until = 0, 1, None
            return
        self._failures += 1
        if was_probe or self._until is not None or self._failures >= self._max_failures:
            self._until = self._clock() + self._first_pause_s * self._next_factor
            self._next_factor = min(2 * self._next_factor, _MAX_FACTOR)
            self._pauses += 1
