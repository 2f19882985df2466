"""What an engine gets, and what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tenuto.core.caller import ANONYMOUS, Caller
from tenuto.core.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, and what is reported of them. It reaches the runtimes unchanged.

    Attributes:
        temperature: 0 (always the likeliest token) or more.
        top_p: Above 0 and below 1, or None for off.
        top_k: 1 or more, or None for off.
        seed: 0 to 2**64 - 1 for a repeatable choice of tokens, None for a random one.
        logprobs: How many of the likeliest tokens to report for each token, besides that token's
            own log probability; 0 for that alone, None for none. Only engines whose
            `Capabilities.extensions` has it look at it.
    """

    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    r"""One completion to write.

    Attributes:
        prompt: The text to continue.
        max_tokens: Most tokens to write, 1 or more. An engine caps it at what its context holds.
        sampling: How tokens are chosen.
        model: The name in the request. An engine with one model answers to any.
        stop_sequences: What ends the text besides `\n\nHuman:`. It is matched above the engine;
            an engine may end there too, or later, but not earlier.
        stream: Whether the text is sent as it comes.
        user_id: The caller's opaque name for its user.
        caller: The sender.
    """

    prompt: Prompt
    max_tokens: int
    sampling: Sampling = Sampling()
    model: str = ""
    stop_sequences: tuple[str, ...] = ()
    stream: bool = True
    user_id: str | None = None
    caller: Caller = ANONYMOUS


class Finish(StrEnum):
    """Why a model stopped writing."""

    END = "end"
    """It ended its text by itself."""
    LENGTH = "length"
    """It wrote as many tokens as it was allowed, or as its context holds."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is known of a job once an engine has accepted it.

    Attributes:
        model: The model that answers, None for the engine's only one.
        upstream: The name of the upstream that answers, None without.
        warnings: What was changed or left out on the way there, a sentence each, for the caller.
    """

    model: str | None = None
    upstream: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    r"""A written token and its log probability.

    Attributes:
        token: Its text; `bytes:` and `\xNN` for each byte if that is not valid UTF-8.
        start: Offset of its first character in the job's whole text.
        end: Offset behind its last character. Tokens that share a character overlap.
        logprob: The natural logarithm of its probability as the model has it, before
            temperature, top_p and top_k. None if the engine does not know it.
        top: The likeliest tokens in its place with theirs, as many as the job asks for.
    """

    token: str
    start: int
    end: int
    logprob: float | None
    top: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a completion took. None: unknown.

    Attributes:
        input_tokens: The prompt's length in tokens, with those that a template adds.
        cached_tokens: How many of them came from a cache instead of being computed.
        output_tokens: Written tokens, those of a stop sequence and those cut off with it included.
        time_to_first_token_ms: From the hand-over to the engine until its first token, waiting
            included. Measured above the engines, which leave it None.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    time_to_first_token_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text, whole characters only.

    Attributes:
        text: The text since the piece before. The first piece has none: the job is accepted.
        tokens: How many tokens were written for this piece, those of held-back bytes included.
        finish: Why the text ends here; None in all pieces but the last.
        accepted: In the first piece, what is known by then; None if that is nothing.
        logprobs: Of tokens that were not reported before, if the job asks for them; some may come
            before or after the piece with their text.
        usage: All that the job took so far; None if unknown. Excluded from equality.
    """

    text: str
    tokens: int = 0
    finish: Finish | None = None
    accepted: Accepted | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = field(default=None, compare=False)
