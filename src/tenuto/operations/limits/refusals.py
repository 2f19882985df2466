"""The refusal of a request that exceeds a limit: its message and its `retry-after`."""

from __future__ import annotations

from typing import Final

from tenuto.core.refusal import Kind, Refusal
from tenuto.operations.limits.headers import rfc3339
from tenuto.operations.limits.limit import Limit, LimitReached

_SECOND_NS: Final = 1_000_000_000
# Clients obey a longer `retry-after` poorly: official ones retry after half a second.
_LONGEST_RETRY_S: Final = 60
_UNITS: Final = {
    Limit.REQUESTS: "requests",
    Limit.INPUT_TOKENS: "input tokens",
    Limit.OUTPUT_TOKENS: "output tokens",
    Limit.CONCURRENT: "running requests",
    Limit.BUDGET_TOKENS: "tokens",
}
_REMEDIES: Final = {
    Limit.INPUT_TOKENS: "Shorten the prompt",
    Limit.OUTPUT_TOKENS: "Lower `max_tokens_to_sample`",
}


def limit_refusal(reached: LimitReached, now: int) -> Refusal:
    """Return the refusal with status 429.

    A client should not retry where a minute does not help: the limit resets later, or the request
    needs more than the whole limit. The message then has the true wait.

    Args:
        reached: The limit.
        now: The moment of the refusal.
    """
    problem = _problem(reached)
    if reached.never:
        remedy = _REMEDIES.get(reached.limit, "Shorten the prompt or lower `max_tokens_to_sample`")
        message = f"{problem} It can never pass. {remedy}, or let the operator raise the limit."
        return Refusal(Kind.RATE_LIMITED, message, retryable=False)
    if reached.limit is Limit.CONCURRENT:
        message = f"{problem} Retry after one of them has ended."
        return Refusal(Kind.RATE_LIMITED, message, retry_after=1)
    wait_ns = reached.wait_ns or 0
    wait_s = max(1, -(-wait_ns // _SECOND_NS))
    message = f"{problem} Retry in {duration(wait_s)}"
    if reached.period:
        message += f", at {rfc3339((now + wait_ns) // _SECOND_NS)}"
    retryable = None if wait_s <= _LONGEST_RETRY_S and not reached.period else False
    return Refusal(Kind.RATE_LIMITED, f"{message}.", retry_after=wait_s, retryable=retryable)


def _problem(reached: LimitReached) -> str:
    if reached.limit is Limit.CONCURRENT:
        return f"The limit of {reached.maximum:,} running requests is reached."
    money = reached.limit is Limit.BUDGET_COST
    unit = "" if money else f" {_UNITS[reached.limit]}"
    show = amount_of_money if money else "{:,}".format
    name = "budget" if reached.period else "limit"
    text = f"The {name} of {show(reached.maximum)}{unit} per {reached.period or 'minute'} "
    if reached.limit is Limit.REQUESTS:
        return f"{text}is reached."
    needed = f"this request needs up to {show(reached.amount)}"
    return f"{text}is reached: {needed}, and {show(reached.available)} are left."


def amount_of_money(micro_units: int) -> str:
    """Format micro-units as units, without needless zeros: `12.5` for 12,500,000."""
    whole, rest = divmod(micro_units, 1_000_000)
    return f"{whole:,}.{rest:06d}".rstrip("0").rstrip(".")


def duration(seconds: int) -> str:
    """Format a wait in its two largest units: `3 seconds`, `4 days 8 hours`. Rounded up."""
    for size, smaller, names in ((86_400, 3_600, "day hour"), (3_600, 60, "hour minute")):
        if seconds >= size:
            whole, rest = divmod(-(-seconds // smaller) * smaller, size)
            first, second = names.split()
            text = _counted(whole, first)
            return f"{text} {_counted(rest // smaller, second)}" if rest else text
    if seconds >= 120:
        return _counted(-(-seconds // 60), "minute")
    return _counted(seconds, "second")


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
