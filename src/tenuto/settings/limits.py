"""`[limits]`: bounds of requests and connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from tenuto.quantities import Count, Positive


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """`[limits]`: what one client may ask of the server.

    Attributes:
        max_body_bytes: Largest request body. None: what the longest prompt of the model's context
            may need, at most 32 MiB, the service's own limit; 8 MiB where no context is known.
        max_bytes_in_flight: Most bytes of all bodies at a time, from their arrival to the end of
            their answers. More are refused as overloaded.
        max_header_bytes: Largest head of a request: its first line and all headers.
        max_json_depth: Deepest nesting of a body; the API itself needs 3.
        max_turns: Most turns of a prompt.
        max_stop_sequences: Most stop sequences of a request.
        max_stop_sequence_chars: Longest stop sequence, in characters.
        max_stop_sequences_total_chars: Most characters of all stop sequences of a request.
        head_timeout_s: How long the head of a request may take to arrive.
        body_timeout_s: How long the body may take after it.
        max_connections: Most open connections; the next 256 are refused when they ask, and any
            beyond these are closed.
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
