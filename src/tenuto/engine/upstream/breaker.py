"""A circuit breaker: a server that fails time after time is left alone for a while. No clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LONGEST: Final = 16
"""A pause becomes at most so many times as long as the first."""


class Breaker:
    """Counts failures, and says when to try again.

    After `failures` of them in a row nothing is sent for `pause_s`. Then one request goes out as
    a probe: if it succeeds all is well again, if not, the next pause is twice as long.

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
        self._probing = False

    def admits(self) -> bool:
        """Whether to send a request now. Each yes wants one of the three methods below."""
        if not self._pauses:
            return True
        if self._probing or self.wait_s() > 0:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """The server answered."""
        self._failures = self._pauses = 0
        self._probing = False

    def failed(self) -> None:
        """It did not, or with an error of its own."""
        self._failures += 1
        probing, self._probing = self._probing, False
        if probing or (not self._pauses and self._failures >= self._most):
            factor = min(2**self._pauses, _LONGEST)
            self._pauses = min(self._pauses + 1, _LONGEST)
            self._until = self._clock() + self._first_pause_s * factor

    def abandoned(self) -> None:
        """Nobody waited to see."""
        self._probing = False

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
