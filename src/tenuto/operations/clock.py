"""A clock for limits: nanoseconds since 1970 that never go back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# The clock of the system is adjusted all the time, by less than this.
_TOLERATED_NS: Final = 1_000_000_000


class Clock:
    """The time of the system at the start, continued by a clock that is never set.

    It follows the system's clock when that is set forward, or has run on while the machine slept,
    so that calendar periods begin on time. It does not follow it back, because buckets would then
    be full too late.

    Args:
        wall: The system's clock, in nanoseconds since 1970.
        steady: A clock that never goes back, in nanoseconds.
    """

    def __init__(
        self,
        wall: Callable[[], int] = time.time_ns,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()

    def now(self) -> int:
        """Return the moment."""
        wall, steady = self._wall(), self._steady()
        if wall - steady - self._offset > _TOLERATED_NS:
            self._offset = wall - steady
        return steady + self._offset
