"""The tokens that copies may use in a day."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Final

_DAY_S: Final = 86_400


class DayBudget:
    """Reserves tokens before a copy, and settles them after it.

    Args:
        most: Most tokens in a day of UTC.
        spent: Tokens that were spent on this day before the start.
        now: Seconds since 1970.

    Attributes:
        spent: Tokens of copies that have ended, since the beginning of the day.
    """

    def __init__(self, most: int, spent: int = 0, now: Callable[[], float] = time) -> None:
        self._most = most
        self._now = now
        self._day_ends = self._next_day()
        self._held = 0
        self.spent: int = spent

    def _next_day(self) -> float:
        return (self._now() // _DAY_S + 1) * _DAY_S

    def reserve(self, tokens: int) -> bool:
        """Reserve tokens. Return whether that many are left."""
        if self._now() >= self._day_ends:
            self._day_ends, self.spent = self._next_day(), 0
        if self.spent + self._held + tokens > self._most:
            return False
        self._held += tokens
        return True

    def settle(self, reserved: int, used: int | None) -> None:
        """Count the used tokens instead of the reserved ones; None for all of them."""
        self._held -= reserved
        self.spent += reserved if used is None else used
