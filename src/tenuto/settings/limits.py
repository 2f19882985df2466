"""`[limits]`: bounds of requests and connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from tenuto.quantities import Count, Positive


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]`: bounds of requests and connections.

    Attributes:
        max_body_bytes: Largest request body. None: enough for the longest prompt of the model's
            context, at most 32 MiB, the service's own limit; 8 MiB for an unknown context.
        max_bytes_in_flight: Most bytes of all bodies at a time, from arrival to the end of the
            response. Further requests are refused as overloaded.
        max_header_bytes: Largest head of a request: request line and all headers.
        max_json_depth: Deepest nesting of a body. The API itself needs 3.
        max_turns: Most turns of a prompt.
        max_stop_sequences: Most stop sequences of a request.
        max_stop_sequence_chars: Longest stop sequence, in characters.
        max_stop_sequences_total_chars: Most characters of all stop sequences of a request.
        head_timeout_s: Time limit for the head of a request, in seconds.
        body_timeout_s: Time limit for the body, in seconds.
        max_connections: Most open connections. The requests of 256 further ones are refused, and
            connections beyond these are closed.
    """

    max_body_bytes: Count | None = None
    max_bytes_in_flight: Count = 256 * 1024 * 1024
    max_header_bytes: Annotated[int, Ge(1024)] = 64 * 1024
    max_json_depth: Count = 32
    max_turns: Count = 10_000
    max_stop_sequences: Annotated[int, Ge(0)] = 1024
    max_stop_sequence_chars: Count = 4096
    max_stop_sequences_total_chars: Count = 64 * 1024
    head_timeout_s: Positive = 30.0
    body_timeout_s: Positive = 60.0
    max_connections: Count = 4096
