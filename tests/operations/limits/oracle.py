"""The bucket's law, written down as plainly as possible: recomputed from all of its history."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

MINUTE_NS = 60_000_000_000


@dataclass
class Taken:
    """An amount, with the moment when it was taken."""

    at: int
    amount: int


@dataclass
class History:
    """Amounts in the order in which they were taken, with what is known of them by now."""

    capacity: int
    per_minute: int
    taken: list[Taken] = field(default_factory=list)

    def take(self, amount: int, at: int) -> Taken:
        latest = max([at, *(each.at for each in self.taken)])
        self.taken.append(Taken(latest, amount))
        return self.taken[-1]

    def used(self, now: int) -> Fraction:
        """Return what the refill has not covered, as if all was known from the start."""
        used, latest = Fraction(0), 0
        for each in [*self.taken, Taken(now, 0)]:
            used = max(Fraction(0), used - self._refill(each.at - latest)) + each.amount
            latest = max(latest, each.at)
        return used

    def assert_law(self) -> None:
        """Assert that no interval has more than the capacity and its refill."""
        for i, first in enumerate(self.taken):
            total = 0
            for last in self.taken[i:]:
                total += last.amount
                refill = self.per_minute * (last.at - first.at) // MINUTE_NS
                assert total <= self.capacity + refill

    def _refill(self, time_ns: int) -> Fraction:
        return Fraction(max(0, time_ns) * self.per_minute, MINUTE_NS)
