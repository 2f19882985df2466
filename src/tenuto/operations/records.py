"""The record of one request, and the protocol of its observers."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Protocol, TypeAlias

from tenuto.core.events import End
from tenuto.core.job import Trace, Usage
from tenuto.core.refusal import Kind
from tenuto.core.spoiling import Spoiling
from tenuto.core.token_gaps import TokenGaps


class Delivery(StrEnum):
    """The outcome of a request that is neither a completion nor refused."""

    COMPLETE = auto()
    """A complete response of another route."""
    DISCONNECTED = auto()
    """The client disconnected first."""
    REPLAYED = auto()
    """The kept response of an earlier request with the same idempotency key."""


Outcome: TypeAlias = End | Kind | Delivery
"""`End` for a completion, `Kind` for a refusal or an aborted response."""


@dataclass(slots=True)
class RequestRecord:
    """Facts about a request, without its key and prompt.

    Attributes:
        id: Value of `request-id` in its response.
        address: The client's address, `-` if unknown.
        method: The HTTP method, `-` if the request was refused before its head was parsed.
        path: The path without its query string, which may hold secrets.
        begun: Arrival of the complete head, in seconds since 1970.
        clock: The same moment on the clock of `time.perf_counter`.
        route: The path of the route, with its variable; None for an unknown path.
        caller: `Caller.id`; "" without a key, or before its check.
        key: The name of the caller's key; "" without one, or before its check.
        headers: Headers of the response besides those of its route.
        status: Status of the response; None without a response.
        requested_model: The model in the request.
        served_model: The model that answers.
        stream: Whether the request is for a stream.
        shape: The shape of a request to `/v1/complete`; None for other routes.
        upstream: The upstream that answers.
        usage: Usage of the completion; None for other routes.
        first_token_seconds: From the arrival of the head to the first token of the completion, the
            reading of the body and all queues included; None without a token.
        token_gaps: The times between its tokens; None without a second piece.
        outcome: Reason of the end; None before.
        seconds: Duration; 0 before the end.
        trace: The trace of the request; None if it is not traced.
        spoiling: For a request whose answer a fault may spoil; None for others.
    """

    id: str
    address: str
    method: str
    path: str
    begun: float
    clock: float
    route: str | None = None
    caller: str = ""
    key: str = ""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    status: int | None = None
    requested_model: str | None = None
    served_model: str | None = None
    stream: bool | None = None
    shape: str | None = None
    upstream: str | None = None
    usage: Usage | None = None
    first_token_seconds: float | None = None
    token_gaps: TokenGaps | None = None
    outcome: Outcome | None = None
    seconds: float = 0.0
    trace: RequestTrace | None = None
    spoiling: Spoiling | None = None


class RequestTrace(Trace, Protocol):
    """The trace of one request, with the span of the request itself."""

    def finish(
        self, record: RequestRecord, outcome: str, *, error: str | None, failed: bool
    ) -> None:
        """End the span with the facts of a complete record.

        Args:
            record: The record.
            outcome: Name of its outcome.
            error: Name of its error; None without one.
            failed: Whether the server or an upstream is at fault.
        """
        ...


class Observer(Protocol):
    """Receives the record of each request: a log, a metric, a ledger."""

    def ended(self, record: RequestRecord) -> None:
        """Observe a complete record. Must not block the event loop."""
        ...
