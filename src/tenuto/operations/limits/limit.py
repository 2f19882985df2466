"""The limits of a key, and the reason why a request exceeds one."""

from __future__ import annotations

from dataclasses import fields
from enum import StrEnum, auto
from typing import Final

from tenuto.core.value import value

MAX_LIMIT: Final = 2**53 - 1
"""Largest limit, budget and amount: exact in JSON and in every database."""


class Limit(StrEnum):
    """A limit that can refuse a request. The values are labels of metrics."""

    REQUESTS = auto()
    """Requests per minute."""
    INPUT_TOKENS = auto()
    """Input tokens per minute."""
    OUTPUT_TOKENS = auto()
    """Output tokens per minute."""
    CONCURRENT = auto()
    """Running requests."""
    BUDGET_TOKENS = auto()
    """Input and output tokens of a calendar period."""
    BUDGET_COST = auto()
    """Micro-units of money of a calendar period."""


@value
class KeyLimits:
    """Limits of one key: numbers from 1 to `MAX_LIMIT`, or None for unlimited.

    Attributes:
        requests_per_minute: Capacity of the bucket of requests, refilled in one minute.
        input_tokens_per_minute: The same for input tokens.
        output_tokens_per_minute: The same for output tokens.
        concurrent: Most requests that run at once.
    """

    requests_per_minute: int | None = None
    input_tokens_per_minute: int | None = None
    output_tokens_per_minute: int | None = None
    concurrent: int | None = None

    def __post_init__(self) -> None:
        """Check the bounds, because a bucket with a rate of 0 would never refill.

        Raises:
            ValueError: A limit is below 1 or above `MAX_LIMIT`.
        """
        for each in fields(self):
            check_limit(each.name, getattr(self, each.name))


def check_limit(name: str, limit: int | None) -> None:
    """Check the bounds of a limit.

    Raises:
        ValueError: It is below 1 or above `MAX_LIMIT`; the message begins with `name`.
    """
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"{name} must be from 1 to {MAX_LIMIT}")


@value
class LimitReached:
    """The limit that refuses a request, the one with the longest wait.

    Attributes:
        limit: The limit.
        maximum: Its value: per minute, at once, or for a period.
        amount: The amount that the request needs.
        available: The amount that is left, 0 or more.
        wait_ns: Time until the request can pass if no other is sent; None if unknown, for
            `CONCURRENT`, or if it never can.
        period: The period of a budget, as in `month`; "" for other limits.
    """

    limit: Limit
    maximum: int
    amount: int
    available: int
    wait_ns: int | None
    period: str = ""

    @property
    def never(self) -> bool:
        """Whether the request can never pass, because it needs more than the whole limit."""
        return self.amount > self.maximum
