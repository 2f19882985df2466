"""`anthropic-ratelimit-*`: the response headers that report limits."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from tenuto.operations.limits.bucket import Bucket
from tenuto.operations.limits.limit import Limit
from tenuto.operations.limits.reservation import Limits

_SECOND_NS: Final = 1_000_000_000
_ROUNDED_TO: Final = 1_000


def _names_of(limit: str) -> tuple[str, str, str]:
    begin = f"anthropic-ratelimit-{limit}"
    return f"{begin}-limit", f"{begin}-remaining", f"{begin}-reset"


_TOKENS: Final = _names_of("tokens")
_NAMES: Final = {
    Limit.REQUESTS: _names_of("requests"),
    Limit.INPUT_TOKENS: _names_of("input-tokens"),
    Limit.OUTPUT_TOKENS: _names_of("output-tokens"),
}


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
    tightest: tuple[int, tuple[str, str, str]] | None = None
    for limit, bucket in limits.buckets():
        available = max(0, bucket.available(now))
        is_tokens = limit is not Limit.REQUESTS
        remaining = _rounded(available, bucket.capacity) if is_tokens else available
        values = (str(bucket.capacity), str(remaining), _full_at(bucket, now))
        headers += zip(_NAMES[limit], values, strict=True)
        if is_tokens and (tightest is None or available < tightest[0]):
            tightest = available, values
    if tightest is not None:
        headers += zip(_TOKENS, tightest[1], strict=True)
    return headers


def _rounded(available: int, capacity: int) -> int:
    if capacity < _ROUNDED_TO:
        return available
    nearest = (available + _ROUNDED_TO // 2) // _ROUNDED_TO * _ROUNDED_TO
    return min(nearest, capacity)


def _full_at(bucket: Bucket, now: int) -> str:
    return rfc3339(-(-bucket.full_at(now) // _SECOND_NS))


@lru_cache(maxsize=512)
def rfc3339(second: int) -> str:
    """Format a moment, in whole seconds since 1970: `2026-11-20T09:30:00Z`."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
