"""Rules of the official Python client, 0.125.0, for retries. No clock, no randomness.

Every request may be retried: a completion changes nothing on the server, and no part of the
failed response has been used.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenuto.wire import backoff

MAX_RETRY_AFTER_S = 60.0
"""Longest wait that a server may request; longer values are ignored."""


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether to retry after a response; `x-should-retry` overrides the status."""
    override = headers.get("x-should-retry")
    if override in ("true", "false"):
        return override == "true"
    return status in (408, 409, 429) or status >= 500


def delay_s(retries_taken: int, headers: Mapping[str, str], *, now: float, chance: float) -> float:
    """Return the wait before the next retry, in seconds.

    Args:
        retries_taken: Number of previous retries, 0 or more.
        headers: Headers of the response, empty without one; a valid `retry-after-ms` or
            `retry-after` sets the wait.
        now: Seconds since 1970.
        chance: 0 to less than 1; see `wire.backoff`.
    """
    requested = backoff.retry_after_s(headers, now)
    if requested is not None and 0 < requested <= MAX_RETRY_AFTER_S:
        return requested
    return backoff.delay_s(retries_taken, chance)
