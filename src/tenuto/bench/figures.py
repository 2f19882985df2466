"""Compute figures from the outcomes of requests. Pure.

A completion that stopped at `max_tokens` has exactly that number of tokens. Of any other, only the
events can be counted: each has at least one token, so the count is a lower bound.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_TOKENS: Final = "max_tokens"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request.

    Attributes:
        sent: Time of sending, in seconds of any steady clock.
        texts: Time of each event with text.
        ended: Time of the end of the answer, or of the failure.
        stop_reason: Stop reason of the completion; None after a failure.
        max_tokens: Most tokens that the request allowed.
        failure: Short reason of a failure; None after success.
    """

    sent: float
    texts: tuple[float, ...]
    ended: float
    stop_reason: str | None
    max_tokens: int
    failure: str | None = None

    @property
    def tokens(self) -> int:
        """Number of tokens: exact or a lower bound, see the module."""
        return self.max_tokens if self.exact else len(self.texts)

    @property
    def exact(self) -> bool:
        """Whether `tokens` is exact."""
        return self.stop_reason == MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Times:
    """Median, 99th percentile and largest of durations in seconds; None without any."""

    median: float | None
    p99: float | None
    largest: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of one level of concurrency.

    Attributes:
        requests: Number of completed requests.
        failures: Number of failures by reason.
        seconds: From the first request to the last answer.
        tokens: Tokens of all completed requests.
        exact: Number of completions with an exact count of tokens.
        first_token_s: From sending a request to its first text.
        between_tokens_s: From one event with text to the next of the same request.
        client_cpu: Processor time of the client, as a share of one core.
        complete: Whether the level ran to its end.
    """

    concurrency: int
    requests: int
    failed: int
    failures: dict[str, int]
    seconds: float
    tokens: int
    exact: int
    tokens_per_s: float
    first_token_s: Times
    between_tokens_s: Times
    client_cpu: float
    complete: bool


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile of one or more values by nearest rank; 0 < share <= 1."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def times(values: Sequence[float]) -> Times:
    """Summarize durations."""
    if not values:
        return Times(None, None, None)
    return Times(percentile(values, 0.5), percentile(values, 0.99), max(values))


def figures(
    concurrency: int, outcomes: Sequence[Outcome], cpu_s: float, *, complete: bool
) -> Figures:
    """Compute the figures of one level from the requests that ended.

    `cpu_s` is the processor time of the client meanwhile, in seconds.
    """
    whole = [outcome for outcome in outcomes if outcome.failure is None]
    start = min((outcome.sent for outcome in outcomes), default=0.0)
    seconds = max((outcome.ended for outcome in outcomes), default=0.0) - start
    tokens = sum(outcome.tokens for outcome in whole)
    gaps = [
        later - earlier
        for outcome in whole
        for earlier, later in zip(outcome.texts, outcome.texts[1:], strict=False)
    ]
    return Figures(
        concurrency=concurrency,
        requests=len(whole),
        failed=len(outcomes) - len(whole),
        failures=dict(Counter(outcome.failure for outcome in outcomes if outcome.failure)),
        seconds=seconds,
        tokens=tokens,
        exact=sum(outcome.exact for outcome in whole),
        tokens_per_s=tokens / seconds if seconds > 0 else 0.0,
        first_token_s=times([o.texts[0] - o.sent for o in whole if o.texts]),
        between_tokens_s=times(gaps),
        client_cpu=cpu_s / seconds if seconds > 0 else 0.0,
        complete=complete,
    )
