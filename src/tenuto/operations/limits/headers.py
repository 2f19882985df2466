"""`anthropic-ratelimit-*`: the response headers that report limits."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from tenuto.operations.limits.limit import Limit
from tenuto.operations.limits.reservation import Limits

_SECOND_NS: Final = 1_000_000_000
_ROUNDED_TO: Final = 1_000


def _names_of(limit: str) -> tuple[str, str, str]:
    begin = f"anthropic-ratelimit-{limit}"
    return f"{begin}-limit", f"{begin}-remaining", f"{begin}-reset"


_REQUESTS: Final = Limit.REQUESTS
_INPUT_TOKENS: Final = Limit.INPUT_TOKENS
_REQUEST_NAMES: Final = _names_of("requests")
_INPUT_NAMES: Final = _names_of("input-tokens")
_OUTPUT_NAMES: Final = _names_of("output-tokens")
_TOKEN_NAMES: Final = _names_of("tokens")

HEADER_NAMES: Final = (*_REQUEST_NAMES, *_INPUT_NAMES, *_OUTPUT_NAMES, *_TOKEN_NAMES)
"""The names of all headers, for browsers."""


def rate_limit_headers(limits: Limits, now: int) -> list[tuple[str, str]]:
    """Return the headers for the limits per minute that a key has, for any status.

    `reset` is the first whole second at which the bucket is full. `remaining` of tokens is rounded
    to 1,000, like that of the service, but never above the limit. Limits below 1,000 have the exact
    number, because rounding would report an empty or a full bucket only. `tokens-*` repeats the
    token limit with the fewest remaining tokens.

    Args:
        limits: The limits, after the request's own reservation.
        now: The moment.
    """
    headers: list[tuple[str, str]] = []
    tightest = ("", "", "")
    fewest: int | None = None
    for limit, bucket in limits.buckets():
        available = bucket.available(now)
        if available < 0:
            available = 0
        reset = rfc3339(-(-bucket.full_at(now) // _SECOND_NS))
        if limit is _REQUESTS:
            headers += _rows(_REQUEST_NAMES, (str(bucket.capacity), str(available), reset))
            continue
        remaining = _rounded(available, bucket.capacity)
        values = (str(bucket.capacity), str(remaining), reset)
        headers += _rows(_INPUT_NAMES if limit is _INPUT_TOKENS else _OUTPUT_NAMES, values)
        if fewest is None or available < fewest:
            fewest, tightest = available, values
    if fewest is not None:
        headers += _rows(_TOKEN_NAMES, tightest)
    return headers


def _rows(names: tuple[str, str, str], values: tuple[str, str, str]) -> list[tuple[str, str]]:
    return [(names[0], values[0]), (names[1], values[1]), (names[2], values[2])]


def _rounded(available: int, capacity: int) -> int:
    if capacity < _ROUNDED_TO:
        return available
    nearest = (available + _ROUNDED_TO // 2) // _ROUNDED_TO * _ROUNDED_TO
    return min(nearest, capacity)


@lru_cache(maxsize=512)
def rfc3339(second: int) -> str:
    """Format a moment, in whole seconds since 1970: `2026-11-20T09:30:00Z`."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
