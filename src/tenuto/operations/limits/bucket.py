"""A token bucket whose unused amounts can be given back.

A reservation ends long after it began, and gives back the units that it did not use. To add them to
the level is wrong: a bucket that was full in the meantime has already refilled the same units, and
others may have taken them, so that one interval would admit more than the law allows. The bucket
must become as if the unused units had never been taken.

So the used amounts form a stack: each lies above the older ones, and the refill covers the newest
one first. A hold can give back its own amount and those below it, as far as they are not covered.
(Without the unused units, the bucket would have been fuller, until it overflowed. The amounts above
a hold are the ones that later takes alone would have left.)

Every operation takes constant time, averaged over all.
"""

from __future__ import annotations

from typing import Final

PARTS: Final = 60_000_000_000
"""Parts of one unit. A bucket of n units per minute gains n parts a nanosecond, without a rest."""
_SECOND_NS: Final = 1_000_000_000


class Hold:
    """An amount that was taken and is not settled yet.

    Attributes:
        parts: Its uncovered rest, with that of settled amounts below it.
        turn: The number of times that the bucket was found full before. Afterwards, all is covered.
        below: The next older entry of the stack.
        above: The next newer entry; None at the top.
        holders: Unsettled holds that share the entry; 1 if none was joined to it.
        joined: The older entry that took over, because this one is covered; None in the stack.
    """

    __slots__ = ("above", "below", "holders", "joined", "parts", "turn")

    def __init__(self, parts: int, turn: int, below: Hold | None) -> None:
        self.parts: int = parts
        self.turn: int = turn
        self.below: Hold | None = below
        self.above: Hold | None = None
        self.holders: int = 1
        self.joined: Hold | None = None


class Bucket:
    """A full bucket of requests or tokens that refills at a constant rate.

    Law: of the amounts taken in an interval of t nanoseconds, at most
    `capacity + per_minute * t // 60_000_000_000` were used in the end, debts apart.

    A moment before the latest one counts as the latest one. All moments are in nanoseconds.

    Args:
        capacity: Units of the full bucket, 1 or more.
        per_minute: Units that refill in one minute, 1 or more; `capacity` by default.
    """

    __slots__ = (
        *("_bottom", "_full_at", "_line", "_loose", "_parts", "_rate", "_second", "_top", "_turn"),
        "capacity",
    )

    def __init__(self, capacity: int, per_minute: int | None = None) -> None:
        # The virtual scheduling form of GCRA: the moment when the bucket is full. This and the
        # latest moment are multiplied by the rate, so that no operation divides by it.
        self._full_at = 0
        self._line = 0
        # The bottom has nothing to give, and joins all holds that are covered entirely.
        self._bottom = Hold(0, 0, None)
        self._top = self._bottom
        # Uncovered amounts on top of the stack that belong to no hold.
        self._loose = 0
        self._turn = 0
        self._set(capacity, capacity if per_minute is None else per_minute)

    def _set(self, capacity: int, per_minute: int) -> None:
        if capacity < 1 or per_minute < 1:
            raise ValueError("a bucket needs a capacity and a rate of 1 or more")
        self.capacity: int = capacity
        self._parts = capacity * PARTS
        self._rate = per_minute
        self._second = per_minute * _SECOND_NS

    def _used(self, now: int) -> int:
        """Return the parts that the refill still has to cover, debts included."""
        line = now * self._rate
        used = self._full_at - (line if line > self._line else self._line)
        return used if used > 0 else 0

    def available(self, now: int) -> int:
        """Return the units that can be taken; below 0 if the bucket is in debt."""
        return (self._parts - self._used(now)) // PARTS

    def full_at(self, now: int) -> int:
        """Return the moment when the bucket is full if nothing is taken; `now` if it is full."""
        return now - (-self._used(now) // self._rate)

    def wait_for(self, amount: int, now: int) -> int | None:
        """Return the time until an amount can be taken, 0 for now.

        Returns:
            Nanoseconds; None if the amount exceeds the capacity.
        """
        if amount > self.capacity:
            return None
        missing = self._used(now) + amount * PARTS - self._parts
        return -(-missing // self._rate) if missing > 0 else 0

    def shown(self, now: int) -> tuple[int, int]:
        """Return what a response reports, in one call.

        Args:
            now: The latest moment, or a later one.

        Returns:
            The units that can be taken, 0 in debt; the first whole second since 1970 at which the
            bucket is full if nothing is taken.
        """
        used = self._full_at - now * self._rate
        if used <= 0:
            return self.capacity, -(-now // _SECOND_NS)
        left = self._parts - used
        return left // PARTS if left > 0 else 0, -(-self._full_at // self._second)

    def take_if(self, amount: int, now: int) -> Hold | None:
        """Take an amount and hold it until `settle`; None, without effect, if it is not available.

        Args:
            amount: Units, 0 or more.
            now: The moment.
        """
        parts = amount * PARTS
        line = now * self._rate
        if self._full_at > line:
            if line > self._line:
                self._refill(line)
            return self._push(parts) if self._full_at + parts - self._line <= self._parts else None
        # Full, like most buckets most of the time: as after `_refill`, in a third of its steps.
        if parts > self._parts:
            return None
        bottom = self._bottom
        self._turn = turn = self._turn + 1
        self._line, self._full_at, self._loose = line, line + parts, 0
        self._top = bottom.above = hold = Hold(parts, turn, bottom)
        return hold

    def take(self, amount: int, now: int) -> Hold:
        """Take an amount, which may leave a debt, and hold it until `settle`."""
        self._refill(now * self._rate)
        return self._push(amount * PARTS)

    def _push(self, parts: int) -> Hold:
        self._full_at += parts
        below = self._top
        hold = Hold(parts + self._loose, self._turn, below)
        self._loose = 0
        self._top = below.above = hold
        return hold

    def take_debt(self, amount: int, now: int) -> None:
        """Take an amount for good, whether it is available or not."""
        self._refill(now * self._rate)
        self._full_at += amount * PARTS
        self._loose += amount * PARTS

    def settle(self, hold: Hold, now: int, give_back: int = 0) -> None:
        """End a hold. Exactly one call for each hold.

        Units that the refill has covered since, and that overflowed the bucket, are lost.

        Args:
            hold: The result of `take`.
            now: The moment.
            give_back: Unused units, up to the taken ones. Below 0, the excess is taken, which may
                leave a debt.
        """
        line = now * self._rate
        if line > self._line and (hold.turn == self._turn or self._full_at > line):
            self._refill(line)
        if hold.turn == self._turn:
            self._settle_uncovered(hold, give_back)
        else:
            hold.above = hold.below = None
        if give_back < 0:
            self.take_debt(-give_back, now)

    def resize(self, capacity: int, now: int, per_minute: int | None = None) -> None:
        """Change the capacity and the rate. The used amount and the holds remain."""
        self._refill(now * self._rate)
        used, latest = self._full_at - self._line, self._line // self._rate
        self._set(capacity, capacity if per_minute is None else per_minute)
        self._line = latest * self._rate
        self._full_at = self._line + used

    def _refill(self, line: int) -> None:
        """Cover the newest amounts by the refill since the latest moment.

        Args:
            line: The moment, multiplied by the rate.
        """
        refill = line - self._line
        if refill <= 0:
            return
        self._line = line
        if self._full_at <= line:
            # Full: nothing is uncovered, so the stack is empty. Its holds notice by their turn.
            self._full_at = line
            self._turn += 1
            self._loose = 0
            self._top = self._bottom
            return
        loose = self._loose
        if loose > refill:
            self._loose = loose - refill
            return
        refill -= loose
        self._loose = 0
        top = self._top
        while top.parts <= refill:
            refill -= top.parts
            top = self._join_below(top)
        top.parts -= refill

    def _settle_uncovered(self, hold: Hold, give_back: int) -> None:
        entry = hold if hold.joined is None else _entry_of(hold)
        if give_back > 0:
            entry = self._give_back(entry, give_back * PARTS)
        entry.holders -= 1
        if not entry.holders and entry is not self._bottom:
            # Only later holds can give back the rest.
            if entry.above is None:
                self._loose += entry.parts
            else:
                entry.above.parts += entry.parts
            self._remove(entry)

    def _give_back(self, entry: Hold, parts: int) -> Hold:
        """Remove parts from an entry and from those below; return the entry of its holders."""
        rest = parts
        while rest and entry is not self._bottom:
            if entry.parts > rest:
                entry.parts -= rest
                rest = 0
            else:
                rest -= entry.parts
                entry = self._join_below(entry)
        self._full_at -= parts - rest
        return entry

    def _join_below(self, entry: Hold) -> Hold:
        """Remove a covered entry, whose holders can only give back the amounts below."""
        below = self._remove(entry)
        below.holders += entry.holders
        entry.joined = below
        return below

    def _remove(self, entry: Hold) -> Hold:
        above, below = entry.above, entry.below
        assert below is not None  # The bottom is never removed.
        below.above = above
        if above is None:
            self._top = below
        else:
            above.below = below
            entry.above = None
        entry.below = None
        return below


def _entry_of(hold: Hold) -> Hold:
    """Return the entry of the stack that a hold was joined to, and shorten the way to it."""
    entry = hold
    while entry.joined is not None:
        entry = entry.joined
    while hold.joined is not None and hold is not entry:
        hold.joined, hold = entry, hold.joined
    return entry
