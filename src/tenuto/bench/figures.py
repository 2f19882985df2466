"""From what happened to figures. Pure.

What counts as a token: a completion that ended for `max_tokens` has exactly as many tokens as were
asked for. Of any other only its events can be counted; an event with text holds at least one
token, so that count is a lower bound. `exact` says for how many completions it was the former.
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
        sent: When it was sent, in seconds of any steady clock.
        texts: When each event with text came.
        ended: When the answer was whole, or it was clear that none comes.
        stop_reason: Why the completion ended; None if it failed.
        asked: The most tokens that were asked for.
        failure: Why it failed, in a few words; None if it did not.
    """

    sent: float
    texts: tuple[float, ...]
    ended: float
    stop_reason: str | None
    asked: int
    failure: str | None = None

    @property
    def tokens(self) -> int:
        """Its tokens: exact or a lower bound, see the module."""
        return self.asked if self.exact else len(self.texts)

    @property
    def exact(self) -> bool:
        """Whether `tokens` is exact."""
        return self.stop_reason == MAX_TOKENS


@dataclass(frozen=True, slots=True)
class Times:
    """Durations in seconds: their median, 99th percentile and largest; None without any."""

    median: float | None
    p99: float | None
    largest: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a number of requests at once came to.

    Attributes:
        concurrency: How many requests were open at any time.
        requests: How many were answered in whole.
        failed: How many were not.
        failures: Why, and how often.
        seconds: From the first request to the last answer.
        tokens: Of all whole answers.
        exact: For how many answers the count of tokens is exact.
        tokens_per_s: Of all requests together.
        first_token_s: From sending a request to its first text.
        between_tokens_s: From one event with text to the next of the same request.
        client_cpu: Processor time that the measuring itself took, as a share of one core.
        complete: Whether nothing interrupted it.
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
    """The smallest value that at least this share of all do not exceed (nearest rank).

    Args:
        values: At least one, in any order.
        share: Above 0, at most 1.
    """
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def times(values: Sequence[float]) -> Times:
    """The durations in short."""
    if not values:
        return Times(None, None, None)
    return Times(percentile(values, 0.5), percentile(values, 0.99), max(values))


def figures(
    concurrency: int, outcomes: Sequence[Outcome], cpu_s: float, *, complete: bool
) -> Figures:
    """Sums up all requests of one concurrency.

    Args:
        concurrency: How many were open at a time.
        outcomes: What came of each; those that an interruption cut off are not among them.
        cpu_s: Processor time of the measuring process meanwhile, in seconds.
        complete: Whether nothing interrupted it.
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
