"""The values that a keeper of responses takes and returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

_OVERHEAD_BYTES: Final = 1024
_MOST_WAIT_S: Final = 60.0
_LEAST_WAIT_S: Final = 1.0
# Duration of a completion before any is known.
_ASSUMED_S: Final = 5.0


class Place(NamedTuple):
    """The place of a response: keys of different callers never meet.

    Attributes:
        caller: The caller.
        key: SHA-256 of the caller's idempotency key.
    """

    caller: str
    key: bytes


@dataclass(frozen=True, slots=True)
class KeptResponse:
    """A complete response.

    Attributes:
        status: The HTTP status.
        headers: The headers that belong to the response, in order. `request-id` does not.
        body: The body; of a stream, all its events.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def size(self) -> int:
        """Estimated size in memory, in bytes."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return _OVERHEAD_BYTES + headers + len(self.body)


@dataclass(frozen=True, slots=True)
class Running:
    """The first request of the key has not ended.

    Attributes:
        retry_after_s: Estimated time until its end, 1 to 60 seconds.
    """

    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Claimed:
    """The place in a store belongs to this server."""


@dataclass(frozen=True, slots=True)
class RunningElsewhere:
    """Another server runs the first request.

    Attributes:
        elapsed_ms: For how long, in milliseconds.
    """

    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key was used for a request with another fingerprint."""


@dataclass(eq=False, slots=True)
class Claim:
    """The right to run the first request of a key, and to keep its response.

    Attributes:
        place: The place.
        fingerprint: SHA-256 of the request.
        began: When the claim was made, in seconds.
        held: Bytes of the response so far that count in the bounds.
    """

    place: Place
    fingerprint: bytes
    began: float
    held: int = 0


Verdict: TypeAlias = Claim | KeptResponse | Running | Mismatch
StoredVerdict: TypeAlias = Claimed | KeptResponse | RunningElsewhere | Mismatch


def wait_s(elapsed_s: float, usual_s: float | None) -> float:
    """Estimate the time until a request ends, 1 to 60 seconds.

    Args:
        elapsed_s: How long it has run.
        usual_s: How long others took on average; None if unknown.

    Returns:
        The rest of the usual time; for longer requests, as much as they have run. The official
        clients retry twice, so a wait that is too short is worse than a long one.
    """
    rest = (_ASSUMED_S if usual_s is None else usual_s) - elapsed_s
    return min(max(rest if rest > 0 else elapsed_s, _LEAST_WAIT_S), _MOST_WAIT_S)
