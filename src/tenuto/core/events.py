"""The events of one completion, the same for every dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from tenuto.core.job import Accepted, TokenLogprob, Usage
from tenuto.core.long_text import LongText


class End(StrEnum):
    """Why a completion ended."""

    TURN = "turn"
    """The model ended its turn."""
    LENGTH = "length"
    """All tokens are written that the request or the context allows."""
    STOP = "stop"
    """A stop sequence matched."""


@dataclass(frozen=True, slots=True)
class Text:
    """The next text of a completion.

    Attributes:
        text: Never empty.
        logprobs: Of the tokens that end in this text; None if the request asks for none.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event.

    Attributes:
        end: Why there is no more.
        stop: The stop sequence that matched, with `End.STOP`; else None.
        logprobs: Of tokens without text at the end; None if the request asks for none.
        usage: What the completion took, where the caller may see it. Excluded from equality.
    """

    end: End
    stop: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    usage: Usage | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Completed:
    """All events of a completion, folded.

    Attributes:
        text: The whole text; a `LongText` if it is very long.
        ended: The last event.
        logprobs: Of all tokens; None if the request asks for none.
    """

    text: str | LongText
    ended: Ended
    logprobs: tuple[TokenLogprob, ...] | None = None


Event: TypeAlias = Accepted | Text | Ended
"""First `Accepted`, then any number of `Text`, then `Ended`."""
