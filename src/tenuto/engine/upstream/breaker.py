"""A circuit breaker: a server that fails time after time is left alone for a while. No clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LONGEST: Final = 16
"""A pause becomes at most so many times as long as the first."""


class Attempt:
    """A request to the server. One of the three ways to end it must be told, the first counts."""

    __slots__ = ("_breaker", "_ended", "closings")

    def __init__(self, breaker: Breaker, closings: int) -> None:
        self._breaker = breaker
        self._ended = False
        self.closings: int = closings

    def answers(self) -> None:
        """Its answer has begun. If it is a probe, others may go out beside it: it may be long."""
        self._breaker._answers(self)

    def succeeded(self) -> None:
        """Its answer has come to its end, or the server is well in another way."""
        self._end(True)

    def failed(self) -> None:
        """There was no answer, or it broke off, or was an error of the server."""
        self._end(False)

    def abandoned(self) -> None:
        """Nobody waited to see."""
        self._end(None)

    def _end(self, outcome: bool | None) -> None:
        if not self._ended:
            self._ended = True
            self._breaker._end(self, outcome)


class Breaker:
    """Counts failures, and says when to try again.

    After `failures` of them in a row nothing is sent for `pause_s`. Then one request goes out as
    a probe: if its answer comes to its end all is well again, if not, the next pause is twice as
    long.

    Args:
        failures: How many, 1 or more.
        pause_s: The first pause in seconds.
        clock: Seconds from any point.
    """

    def __init__(self, failures: int, pause_s: float, clock: Callable[[], float]) -> None:
        self._most = failures
        self._first_pause_s = pause_s
        self._clock = clock
        self._failures = 0
        self._pauses = 0
        self._until = 0.0
        self._probe: Attempt | None = None
        self._closings = 0

    def admit(self) -> Attempt | None:
        """An attempt to send a request now; None to leave the server alone."""
        if not self._pauses:
            return Attempt(self, self._closings)
        if self._probe is not None or self.wait_s() > 0:
            return None
        self._probe = Attempt(self, self._closings)
        return self._probe

    def _end(self, attempt: Attempt, outcome: bool | None) -> None:
        probing = attempt is self._probe
        if probing:
            self._probe = None
        # What began before the pause says nothing of the server after it.
        if outcome is None or attempt.closings != self._closings:
            return
        if outcome:
            self._failures = self._pauses = 0
            return
        self._failures += 1
        if probing or self._pauses or self._failures >= self._most:
            factor = min(2**self._pauses, _LONGEST)
            self._pauses = min(self._pauses + 1, _LONGEST)
            self._until = self._clock() + self._first_pause_s * factor
            self._closings += 1

    def _answers(self, attempt: Attempt) -> None:
        if attempt is self._probe:
            self._probe = None

    def wait_s(self) -> float:
        """Seconds until the next probe; 0 if there is no need to wait."""
        return max(0.0, self._until - self._clock()) if self._pauses else 0.0

    def __str__(self) -> str:
        """How the server is, in a few words."""
        if not self._pauses:
            return f"{self._failures} failures in a row" if self._failures else "ok"
        if wait := self.wait_s():
            return f"paused for {wait:.0f} s after {self._failures} failures in a row"
        return f"to be tried again after {self._failures} failures in a row"
