"""`[idempotency]`: responses that are kept for repeated requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tenuto.quantities import Count, Positive


@dataclass(frozen=True, slots=True)
class IdempotencySettings:
    """`[idempotency]`: what `idempotency-key` keeps. Responses hold generated text.

    Attributes:
        enabled: Heed the header `idempotency-key` of completions.
        store: `memory` of the server, or also the `database` of `[store]`, for several servers.
        max_mib: Most MiB of all responses that are kept, running ones included. The ones used
            least recently make room.
        max_response_mib: Most MiB of one response. A longer one is not kept.
        max_entries: Most responses.
        max_age_s: Time for which a response is kept from its end on, in seconds.
    """

    enabled: bool = True
    store: Literal["memory", "database"] = "memory"
    max_mib: Count = 64
    max_response_mib: Count = 4
    max_entries: Count = 10_000
    max_age_s: Positive = 86_400.0
