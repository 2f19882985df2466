"""`anthropic-ratelimit-*`: the response headers that report limits."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

from tenuto.operations.limits.bucket import Bucket
from tenuto.operations.limits.limit import MAX_LIMIT, Limit

_Header: TypeAlias = tuple[bytes, bytes]

_ROUNDED_TO: Final = 1_000
_NONE: Final[tuple[_Header, ...]] = ()


def _names_of(limit: str) -> tuple[bytes, bytes, bytes]:
    begin = f"anthropic-ratelimit-{limit}".encode()
    return begin + b"-limit", begin + b"-remaining", begin + b"-reset"


_NAMES: Final = {
    Limit.REQUESTS: _names_of("requests"),
    Limit.INPUT_TOKENS: _names_of("input-tokens"),
    Limit.OUTPUT_TOKENS: _names_of("output-tokens"),
}
_TOKEN_NAMES: Final = _names_of("tokens")

HEADER_NAMES: Final = tuple(
    name.decode() for names in (*_NAMES.values(), _TOKEN_NAMES) for name in names
)
"""The names of all headers, for browsers."""


class LimitHeaders:
    """The headers for the limits per minute that a key has, for responses of any status.

    `reset` is the first whole second at which the bucket is full. `remaining` of tokens is rounded
    to 1,000, like that of the service, but never above the limit. Limits below 1,000 have the exact
    number, because rounding would report an empty or a full bucket only. `tokens-*` repeats the
    token limit with the fewest remaining tokens.

    Args:
        buckets: The limits that have a bucket. Their capacities must remain.
    """

    __slots__ = ("_buckets",)

    def __init__(self, buckets: Iterable[tuple[Limit, Bucket]]) -> None:
        self._buckets = [_BucketHeaders(limit, bucket) for limit, bucket in buckets]

    def at(self, now: int) -> list[_Header]:
        """Return the headers.

        Args:
            now: The moment, after the request's own reservation.
        """
        shown: list[_Header] = []
        tightest, fewest = _NONE, MAX_LIMIT + 1
        for each in self._buckets:
            available = each.update(now)
            shown += each.headers
            if available < fewest and each.as_tokens:
                tightest, fewest = each.as_tokens, available
        shown += tightest
        return shown


class _BucketHeaders:
    """The headers of one bucket, as of the last `update`.

    Most of their parts are the same for many requests, so each is made again only when it changes.

    Attributes:
        headers: Three, named after the limit.
        as_tokens: The same named `tokens-*`; empty for requests.
    """

    __slots__ = (
        *("_bucket", "_is_tokens", "_limit", "_names"),
        *("_remaining", "_reset", "_rounds", "_second"),
        *("as_tokens", "headers"),
    )

    def __init__(self, limit: Limit, bucket: Bucket) -> None:
        self._bucket, self._names = bucket, _NAMES[limit]
        self._is_tokens = limit is not Limit.REQUESTS
        self._rounds = self._is_tokens and bucket.capacity >= _ROUNDED_TO
        self._limit = b"%d" % bucket.capacity
        self._remaining = self._second = -1
        self._reset = b""
        self.headers: tuple[_Header, ...] = ()
        self.as_tokens: tuple[_Header, ...] = ()

    def update(self, now: int) -> int:
        """Bring the headers up to date; return the available units, not rounded."""
        available, second = self._bucket.shown(now)
        remaining = available
        if self._rounds:
            remaining = (available + _ROUNDED_TO // 2) // _ROUNDED_TO * _ROUNDED_TO
            if remaining > self._bucket.capacity:
                remaining = self._bucket.capacity
        if second != self._second:
            self._reset, self._second = rfc3339(second).encode(), second
        elif remaining == self._remaining:
            return available
        self._remaining = remaining
        values = self._limit, b"%d" % remaining, self._reset
        self.headers = (*zip(self._names, values, strict=True),)
        if self._is_tokens:
            self.as_tokens = (*zip(_TOKEN_NAMES, values, strict=True),)
        return available


@lru_cache(maxsize=512)
def rfc3339(second: int) -> str:
    """Format a moment, in whole seconds since 1970: `2026-11-20T09:30:00Z`."""
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")
