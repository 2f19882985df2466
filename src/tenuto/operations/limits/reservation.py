"""All limits of one key or address: reserve before the work, settle after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from tenuto.core.value import value
from tenuto.operations.limits.bucket import Bucket, Hold
from tenuto.operations.limits.budget import Budgets, Spending
from tenuto.operations.limits.headers import LimitHeaders
from tenuto.operations.limits.limit import KeyLimits, Limit, LimitReached

_BUCKETS: Final = (Limit.REQUESTS, Limit.INPUT_TOKENS, Limit.OUTPUT_TOKENS)
# In the same order; None without a limit.
_Buckets: TypeAlias = tuple[Bucket | None, Bucket | None, Bucket | None]


@value
class PastRequest:
    """A request of the ledger.

    Attributes:
        admitted_at: Nanoseconds since 1970, not before the true moment.
        input_tokens: Used input tokens; the reserved ones of an open row.
        output_tokens: Used output tokens; the reserved ones of an open row.
    """

    admitted_at: int
    input_tokens: int
    output_tokens: int


class Reservation:
    """The amounts of one admitted request. The first `settle` or `cancel` ends it.

    Attributes:
        admitted_at: The moment of `Limits.reserve`.
        input_tokens: Reserved input tokens.
        output_tokens: Reserved output tokens.
        cost: Reserved micro-units.
    """

    __slots__ = (
        *("_added_at", "_buckets", "_holds", "_limits"),
        *("admitted_at", "cost", "input_tokens", "output_tokens"),
    )

    def __init__(
        self,
        limits: Limits,
        now: int,
        buckets: _Buckets,
        holds: tuple[Hold | None, Hold | None, Hold | None],
        input_tokens: int,
        output_tokens: int,
        cost: int,
    ) -> None:
        self._limits: Limits | None = limits
        self._buckets, self._holds = buckets, holds
        self.admitted_at: int = now
        self.input_tokens: int = input_tokens
        self.output_tokens: int = output_tokens
        self.cost: int = cost
        self._added_at = limits.spending.add(now, input_tokens + output_tokens, cost)

    def settle(
        self,
        now: int,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cost: int | None = None,
    ) -> bool:
        """Replace the reserved amounts by the used ones, and release the place of the request.

        Unused tokens return to the buckets; more than the reserved ones leave a debt.

        Args:
            now: The moment.
            input_tokens: Used input tokens, 0 or more; None if unknown: the reserved ones.
            output_tokens: The same for output tokens.
            cost: The same for micro-units.

        Returns:
            Whether the reservation was open. Otherwise nothing changes.

        Raises:
            ValueError: An amount is below 0. The reservation remains open.
        """
        return self._end(
            now,
            1,
            self.input_tokens if input_tokens is None else input_tokens,
            self.output_tokens if output_tokens is None else output_tokens,
            self.cost if cost is None else cost,
        )

    def cancel(self, now: int) -> bool:
        """Give everything back, the request included: it was refused after its admission.

        Returns:
            Whether the reservation was open. Otherwise nothing changes.
        """
        return self._end(now, 0, 0, 0, 0)

    def _end(
        self, now: int, requests: int, input_tokens: int, output_tokens: int, cost: int
    ) -> bool:
        if input_tokens < 0 or output_tokens < 0 or cost < 0:
            raise ValueError("used amounts must be 0 or more")
        limits = self._limits
        if limits is None:
            return False
        self._limits = None
        limits.running -= 1
        of_requests, of_input, of_output = self._buckets
        request, input_, output = self._holds
        if of_requests is not None and request is not None:
            of_requests.settle(request, now, 1 - requests)
        if of_input is not None and input_ is not None:
            of_input.settle(input_, now, self.input_tokens - input_tokens)
        if of_output is not None and output is not None:
            of_output.settle(output, now, self.output_tokens - output_tokens)
        tokens = input_tokens + output_tokens - self.input_tokens - self.output_tokens
        limits.spending.correct(self._added_at, tokens, cost - self.cost)
        return True


class Limits:
    """The buckets, the running requests and the spending of one key or address.

    Args:
        limits: The limits; None in a field is no limit.
        budgets: The budgets.

    Attributes:
        headers: The response headers that report the limits.
        running: Requests that were admitted and have not ended.
        spending: The sums for budgets. After a start, restore them from the ledger.
    """

    __slots__ = (
        "_buckets",
        "_budgets",
        "_concurrent",
        "_has_budgets",
        "_named",
        "headers",
        "running",
        "spending",
    )

    def __init__(self, limits: KeyLimits, budgets: Budgets | None = None) -> None:
        self._buckets: _Buckets = (None, None, None)
        self._named: list[tuple[Limit, Bucket]] = []
        self._budgets = Budgets()
        self._has_budgets = False
        self._concurrent: int | None = None
        self.running: int = 0
        self.spending: Spending = Spending()
        self.change(limits, budgets or Budgets(), 0)

    def change(self, limits: KeyLimits, budgets: Budgets, now: int) -> None:
        """Change the limits. Used amounts and open reservations remain.

        A limit that is new begins with a full bucket. A budget counts from the sums in `spending`.
        """
        requests, input_, output = self._buckets
        self._buckets = (
            _changed(requests, limits.requests_per_minute, now),
            _changed(input_, limits.input_tokens_per_minute, now),
            _changed(output, limits.output_tokens_per_minute, now),
        )
        self._named = [
            (limit, bucket)
            for limit, bucket in zip(_BUCKETS, self._buckets, strict=True)
            if bucket is not None
        ]
        self.headers: LimitHeaders = LimitHeaders(self._named)
        self._budgets = budgets
        self._has_budgets = budgets != Budgets()
        self._concurrent = limits.concurrent

    def reserve(
        self, now: int, input_tokens: int, output_tokens: int, cost: int = 0
    ) -> Reservation | LimitReached:
        """Reserve the most that a request can use, from all limits or from none.

        Args:
            now: The moment.
            input_tokens: Counted or estimated input tokens, 0 or more.
            output_tokens: The most tokens that it can write, 0 or more.
            cost: The cost of both in micro-units, 0 or more.

        Returns:
            The reservation, which must be ended once; or the limit that refuses the request, in
            which case nothing has changed.

        Raises:
            ValueError: An amount is below 0.
        """
        if input_tokens < 0 or output_tokens < 0 or cost < 0:
            raise ValueError("reserved amounts must be 0 or more")
        if (self._concurrent is not None and self.running >= self._concurrent) or (
            self._has_budgets
            and not self.spending.allows(self._budgets, now, input_tokens + output_tokens, cost)
        ):
            return self._reached(now, input_tokens, output_tokens, cost)
        buckets = of_requests, of_input, of_output = self._buckets
        request = input_ = output = None
        if (
            (of_requests is not None and (request := of_requests.take_if(1, now)) is None)
            or (of_input is not None and (input_ := of_input.take_if(input_tokens, now)) is None)
            or (of_output is not None and (output := of_output.take_if(output_tokens, now)) is None)
        ):
            # Given back at the same moment, an amount leaves no trace.
            if of_requests is not None and request is not None:
                of_requests.settle(request, now, 1)
            if of_input is not None and input_ is not None:
                of_input.settle(input_, now, input_tokens)
            return self._reached(now, input_tokens, output_tokens, cost)
        self.running += 1
        holds = request, input_, output
        return Reservation(self, now, buckets, holds, input_tokens, output_tokens, cost)

    def _reached(self, now: int, input_tokens: int, output_tokens: int, cost: int) -> LimitReached:
        """Return the limit with the longest wait, because shorter waits do not help."""
        reached = self.spending.exceeded(self._budgets, now, input_tokens + output_tokens, cost)
        amounts = (1, input_tokens, output_tokens)
        for limit, bucket, amount in zip(_BUCKETS, self._buckets, amounts, strict=True):
            if bucket is not None and (wait_ns := bucket.wait_for(amount, now)) != 0:
                available = max(0, bucket.available(now))
                reached.append(LimitReached(limit, bucket.capacity, amount, available, wait_ns))
        if reached:
            return max(reached, key=lambda each: (each.never, each.wait_ns or 0))
        assert self._concurrent is not None
        return LimitReached(Limit.CONCURRENT, self._concurrent, 1, 0, None)

    def buckets(self) -> Sequence[tuple[Limit, Bucket]]:
        """Return the limits that have a bucket."""
        return self._named

    def is_idle(self, now: int) -> bool:
        """Return whether a new object with the same limits would admit the same requests.

        Budgets are left out: they are restored from the ledger.
        """
        return not self.running and all(
            bucket.available(now) == bucket.capacity for _, bucket in self.buckets()
        )

    def rebuild(self, requests: Iterable[PastRequest], since: int | None = None) -> None:
        """Take the amounts of past requests from the buckets, after a start.

        Args:
            requests: The requests of this key, sorted by `admitted_at`.
            since: The moment from which on `requests` is complete: the buckets were empty then, at
                worst. None if it is complete.
        """
        for _, bucket in self._named:
            if since is not None:
                bucket.take_debt(bucket.capacity, since)
        for each in requests:
            amounts = {
                Limit.REQUESTS: 1,
                Limit.INPUT_TOKENS: each.input_tokens,
                Limit.OUTPUT_TOKENS: each.output_tokens,
            }
            for limit, bucket in self._named:
                bucket.take_debt(amounts[limit], each.admitted_at)


def _changed(bucket: Bucket | None, capacity: int | None, now: int) -> Bucket | None:
    """Return the bucket for another capacity, with the used amounts of the former one."""
    if capacity is None:
        return None
    if bucket is None:
        return Bucket(capacity)
    if bucket.capacity != capacity:
        bucket.resize(capacity, now)
    return bucket
