"""When a request is sent again, and after how long. Pure: no clock, no chance of its own.

The rules are those of the official Python client, 0.125.0. A completion changes nothing on the
server, and nothing of an answer has been used when it is asked for again, so every request may be.
"""

from __future__ import annotations

from collections.abc import Mapping

from tenuto.wire import backoff

MAX_RETRY_AFTER_S = 60.0
"""A server that asks for a longer wait is not waited for so long."""


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer is worth asking for again.

    Args:
        status: Of the answer.
        headers: Of the answer; `x-should-retry` overrules the status.
    """
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in (408, 409, 429) or status >= 500


def delay_s(retries_taken: int, headers: Mapping[str, str], *, now: float, chance: float) -> float:
    """How long to wait before asking again, in seconds.

    Args:
        retries_taken: How often it was asked again before, 0 or more.
        headers: Of the answer, none if there was none; `retry-after-ms` and `retry-after`
            decide where they are sensible.
        now: Seconds since 1970.
        chance: At least 0 and below 1; see `wire.backoff`.
    """
    told = backoff.retry_after_s(headers, now)
    if told is not None and 0 < told <= MAX_RETRY_AFTER_S:
        return told
    return backoff.delay_s(retries_taken, chance)
