"""The events of one completion, the same for every version of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tenuto.wire.errors import ApiError
from tenuto.wire.extensions import Logprobs, Usage

StopReason: TypeAlias = Literal["stop_sequence", "max_tokens"]


@dataclass(frozen=True, slots=True)
class CompletionEvent:
    """A piece of the completion; the last one carries the reason why it ended.

    Attributes:
        completion: The text since the event before, possibly empty.
        stop_reason: None until the last event.
        stop: The stop sequence that ended the completion. None unless `stop_reason` is
            `stop_sequence`.
        logprobs: Of the tokens that end in this text, where they are asked for; else None.
        usage: In the last event, where the server tells it; else None.
    """

    completion: str
    stop_reason: StopReason | None = None
    stop: str | None = None
    logprobs: Logprobs | None = None
    # What a completion took is no part of what it says.
    usage: Usage | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life, which clients skip."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The first event: from here on an error comes in the middle. Clients see a ping.

    Attributes:
        model: The model that answers, None if that is the engine's only one.
        upstream: The server behind this one that answers, None without.
        warnings: What was changed or left out on the way there.
    """

    model: str | None = None
    upstream: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The end of a stream that failed. Nothing comes after it."""

    error: ApiError


Event: TypeAlias = Accepted | CompletionEvent | Ping | ErrorEvent
