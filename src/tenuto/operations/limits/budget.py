"""Budgets of calendar periods in UTC. No job resets them: a sum belongs to its period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from tenuto.core.value import value
from tenuto.operations.limits.limit import Limit, LimitReached, check_limit

_SECOND_NS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Period(StrEnum):
    """A calendar period in UTC."""

    DAY = "day"
    MONTH = "month"

    def bounds(self, now: int) -> tuple[int, int]:
        """Return the first moment of the period around `now`, and that of the next period.

        Args:
            now: Nanoseconds since 1970, before the year 9999.
        """
        day = datetime.fromtimestamp(now // _SECOND_NS, UTC).replace(hour=0, minute=0, second=0)
        if self is Period.DAY:
            return _nanoseconds(day), _nanoseconds(day + timedelta(days=1))
        first = day.replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        return _nanoseconds(first), _nanoseconds(following)


# A module's name is cheaper than a member of an enumeration, which requests look up.
_DAY: Final = Period.DAY


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(seconds=1) * _SECOND_NS


@value
class Budget:
    """The most that a key may use in each period.

    Attributes:
        amount: Tokens, input and output together, or micro-units of money: 1 to `MAX_LIMIT`.
        period: The calendar period.
    """

    amount: int
    period: Period

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: The amount is below 1 or above `MAX_LIMIT`.
        """
        check_limit("a budget", self.amount)


@value
class Budgets:
    """Budgets of one key, None for unlimited.

    Attributes:
        tokens: The budget of tokens.
        cost: The budget of money.
    """

    tokens: Budget | None = None
    cost: Budget | None = None


class _Sum:
    """Tokens and cost that were used and reserved in one period, from `begins` until `ends`."""

    __slots__ = ("_period", "begins", "cost", "ends", "tokens")

    def __init__(self, period: Period) -> None:
        self._period = period
        self.begins = self.ends = self.tokens = self.cost = 0

    def move_to(self, now: int) -> None:
        if now >= self.ends:
            self.begins, self.ends = self._period.bounds(now)
            self.tokens = self.cost = 0


class Spending:
    """Tokens and cost of one key in the running day and month, reservations included.

    A request counts to the periods in which it was admitted, whenever it ends, as its row in the
    ledger does.
    """

    __slots__ = ("_day", "_month")

    def __init__(self) -> None:
        self._day = _Sum(Period.DAY)
        self._month = _Sum(Period.MONTH)

    def add(self, now: int, tokens: int, cost: int) -> int:
        """Add the amounts that a request reserves.

        Args:
            now: The moment, which begins new periods.
            tokens: Input and output tokens.
            cost: Micro-units.

        Returns:
            The moment for `correct`.
        """
        day, month = self._day, self._month
        if now >= day.ends:
            day.move_to(now)
            month.move_to(now)
        day.tokens += tokens
        day.cost += cost
        month.tokens += tokens
        month.cost += cost
        # A clock that went back over midnight must not take a request out of all periods.
        return now if now >= day.begins else day.begins

    def correct(self, added_at: int, tokens: int, cost: int) -> None:
        """Correct the amounts of a request. Those of earlier periods change nothing.

        Args:
            added_at: The result of `add`.
            tokens: Used tokens minus reserved ones.
            cost: Used micro-units minus reserved ones.
        """
        day, month = self._day, self._month
        if added_at >= day.begins:
            day.tokens += tokens
            day.cost += cost
        if added_at >= month.begins:
            month.tokens += tokens
            month.cost += cost

    def restore(self, period: Period, now: int, tokens: int, cost: int) -> None:
        """Replace the sums of the period around `now` by those of the ledger."""
        entry = self._sum(period)
        entry.move_to(now)
        entry.tokens, entry.cost = tokens, cost

    def spent(self, period: Period, now: int) -> tuple[int, int]:
        """Return the tokens and the micro-units of the period around `now`."""
        entry = self._sum(period)
        return (entry.tokens, entry.cost) if now < entry.ends else (0, 0)

    def _sum(self, period: Period) -> _Sum:
        return self._day if period is _DAY else self._month

    def allows(self, budgets: Budgets, now: int, tokens: int, cost: int) -> bool:
        """Return whether a request exceeds no budget. An amount of 0 exceeds none."""
        if tokens and (budget := budgets.tokens) is not None:
            entry = self._day if budget.period is _DAY else self._month
            if (entry.tokens if now < entry.ends else 0) + tokens > budget.amount:
                return False
        if cost and (budget := budgets.cost) is not None:
            entry = self._day if budget.period is _DAY else self._month
            return (entry.cost if now < entry.ends else 0) + cost <= budget.amount
        return True

    def exceeded(self, budgets: Budgets, now: int, tokens: int, cost: int) -> list[LimitReached]:
        """Return the budgets that a request would exceed, those that `allows` finds."""
        reached = []
        if not self.allows(Budgets(tokens=budgets.tokens), now, tokens, cost):
            assert budgets.tokens is not None
            spent, _ = self.spent(budgets.tokens.period, now)
            reached.append(_reached(Limit.BUDGET_TOKENS, budgets.tokens, spent, tokens, now))
        if not self.allows(Budgets(cost=budgets.cost), now, tokens, cost):
            assert budgets.cost is not None
            _, spent = self.spent(budgets.cost.period, now)
            reached.append(_reached(Limit.BUDGET_COST, budgets.cost, spent, cost, now))
        return reached


def _reached(limit: Limit, budget: Budget, spent: int, amount: int, now: int) -> LimitReached:
    never = amount > budget.amount
    wait_ns = None if never else budget.period.bounds(now)[1] - now
    available = max(0, budget.amount - spent)
    return LimitReached(limit, budget.amount, amount, available, wait_ns, budget.period.value)
