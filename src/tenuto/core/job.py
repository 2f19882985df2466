"""Requests with their callers, jobs for engines, and the pieces that engines return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from enum import StrEnum
from typing import Final, Protocol

from tenuto.core.begun_text import BegunText
from tenuto.core.long_text import LongText
from tenuto.core.prompt import Prompt
from tenuto.core.spoiling import Spoiling
from tenuto.core.value import value


@value
class Caller:
    """The sender of a request.

    Attributes:
        id: Identifies the key without revealing it; "" for callers without a key.
        key: The key itself, for upstreams that get the caller's own. Never logged.
    """

    id: str = ""
    key: str | None = field(default=None, repr=False)


ANONYMOUS = Caller()


@value
class Sampling:
    """The choice of tokens and the reports about them. Reaches the runtimes unchanged.

    Attributes:
        temperature: 0 (always the likeliest token) or more.
        top_p: Above 0 and below 1, or None for off.
        top_k: 1 or more, or None for off.
        seed: 0 to 2**64 - 1 for a repeatable choice of tokens, None for a random one.
        logprobs: Number of likeliest tokens to report for each token, besides that token's own log
            probability; None for no report. Only engines with this extension read it.
        prompt_logprobs: The same for the tokens of the prompt, which are then reported before the
            text, as `Piece.prompt`. All tokens are reported, also those without text.
        min_tokens: Tokens to write before the model may end by itself; None for none.
        ignore_eos: True to write `max_tokens` tokens, also where the model would end; else None.
    """

    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    # What follows are extensions: an engine names in its capabilities those that it heeds.
    seed: int | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    min_tokens: int | None = None
    ignore_eos: bool | None = None


_STANDARD: Final = ("temperature", "top_p", "top_k")
EXTENSIONS: Final = tuple(each.name for each in fields(Sampling) if each.name not in _STANDARD)
"""The fields of `Sampling` that only some engines heed. None in each stands for absence."""


@value
class Job:
    r"""One completion to write.

    Attributes:
        prompt: The text to continue, or the token ids: a `TokenPrompt`.
        max_tokens: Most tokens to write, 1 or more; 0 only with `prompt_logprobs`. An engine caps
            it to fit its context.
        sampling: How to choose tokens.
        model: The name in the request. An engine with one model accepts any.
        stop_sequences: Texts that end the completion, besides `\n\nHuman:`. Matched above the
            engine, which may end there itself, or later, but not earlier.
        stream: Whether the client gets text as it is written.
        user_id: The caller's opaque name for its user.
        caller: The sender.
        ends_at_human: Whether `\n\nHuman:` ends the text. False for plain text, which only the stop
            sequences of the request end.
        trims: Whether white space at the beginning of the text is left out, as in the answers of
            chats, and stop sequences are matched in the rest. Done above the engine.
        tells_ids: Whether pieces have the ids of their tokens, if the engine knows them.
        begun: Text that is written already, and is continued as if it had just been sampled. Only
            engines with `Capabilities.begun` heed it. `max_tokens` is the limit of the rest.
        trace: Begins spans for the work on the job; None if it is not traced.
        span: The span of the try that the engine is called for; None if it is not traced.
        spoiling: Takes back what the job has used up, if its answer is spoiled on its way; None
            where none is.
    """

    prompt: Prompt
    max_tokens: int
    sampling: Sampling = Sampling()
    model: str = ""
    stop_sequences: tuple[str, ...] = ()
    stream: bool = True
    user_id: str | None = None
    caller: Caller = ANONYMOUS
    ends_at_human: bool = True
    trims: bool = False
    tells_ids: bool = False
    begun: BegunText | None = None
    trace: Trace | None = field(default=None, repr=False, compare=False)
    span: Span | None = field(default=None, repr=False, compare=False)
    spoiling: Spoiling | None = field(default=None, repr=False, compare=False)


@value
class Request:
    """A valid request.

    Attributes:
        job: The job for the engine.
        stops: All stop sequences, those of the dialect included.
        echo: Text that the completion begins with, exempt from stop matching; "" for none.
        reports_usage: Whether the caller sees the usage.
        reports_each: Whether it sees the usage so far with each text, too.
    """

    job: Job
    stops: tuple[str, ...]
    echo: str | LongText = ""
    reports_usage: bool = False
    reports_each: bool = False


class Finish(StrEnum):
    """Reason why a model stopped writing."""

    END = "end"
    """The natural end of its text."""
    LENGTH = "length"
    """The limit of the job or of the context."""


@value
class Accepted:
    """First event: an engine has accepted the job.

    Attributes:
        model: The model that answers, None for the engine's only one.
        upstream: The name of the upstream that answers, or None.
        warnings: What was changed or left out on the way, a sentence each, for the caller.
        response_id: The upstream's id of the response, for traces; None without one.
    """

    model: str | None = None
    upstream: str | None = None
    warnings: tuple[str, ...] = ()
    response_id: str | None = None


@value
class TokenLogprob:
    r"""A written token and its log probability.

    Attributes:
        token: Its text; `bytes:` and `\xNN` for each byte if that is not valid UTF-8.
        start: Offset of its first character in the job's whole text.
        end: Offset after its last character. Tokens that share a character overlap.
        logprob: Natural logarithm of its probability before temperature, top_p and top_k. None if
            unknown.
        top: The likeliest tokens in its place with theirs, as many as the job requests.
    """

    token: str
    start: int
    end: int
    logprob: float | None
    top: Mapping[str, float] = field(default_factory=dict)


@value
class PromptText:
    """A part of the prompt, as its tokens spell it: control tokens too, but no BOS of the engine's.

    Attributes:
        text: The text. May be empty.
        logprobs: The tokens that end in it, with offsets in the prompt's whole text. The first
            token of a prompt has no log probability.
        choice: Number of the completion among those of its request. Set above the engines.
    """

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    choice: int = 0


@value
class Usage:
    """Tokens and time of a completion. None: unknown.

    Attributes:
        input_tokens: Tokens of the prompt, those of a template included.
        cached_tokens: How many of them were cache hits.
        output_tokens: Written tokens, up to the one that completes a stop sequence.
        time_to_first_token_ms: From the start of the job to its first token, the queue included.
            Measured above the engines, which leave it None.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    time_to_first_token_ms: float | None = None


@value
class Piece:
    """Part of a job's text, whole characters only.

    Attributes:
        text: The text since the piece before. The first piece has none: the job is accepted.
        tokens: Tokens written for this piece, those of incomplete characters included.
        finish: Reason of the end; None in all pieces but the last.
        accepted: In the first piece: what is known by then; None for nothing.
        logprobs: Log probabilities that were not reported before. May precede or follow the piece
            with their text.
        prompt: The next part of the prompt, if `prompt_logprobs` is set. Precedes all text.
        token_ends: Length of the text up to the end of each of the tokens; empty if unknown, or if
            a single token ends with it. Excluded from equality.
        usage: Totals of the job so far; None if unknown. Excluded from equality.
        ids: With `Job.tells_ids`: the tokens sampled since the last piece that has some, up to one
            that completes the text, or later. Without the one that ended it. Excluded from
            equality.
    """

    text: str
    tokens: int = 0
    finish: Finish | None = None
    accepted: Accepted | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    usage: Usage | None = field(default=None, compare=False)
    prompt: PromptText | None = None
    token_ends: tuple[int, ...] = field(default=(), compare=False)
    ids: tuple[int, ...] = field(default=(), compare=False)


@value
class Peer:
    """The server of an upstream.

    Attributes:
        provider: Name of its API in OpenTelemetry's conventions, such as `anthropic`.
        address: Its host.
        port: Its port.
    """

    provider: str
    address: str
    port: int


class Span(Protocol):
    """The span of one try to complete a job. Only the first call of `end` or `close` counts."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers that continue the trace in an upstream."""
        ...

    def resend(self, error: Exception) -> None:
        """End the span with an error, and begin another one for the same upstream."""
        ...

    def count(self, piece: Piece) -> None:
        """Record the next piece."""
        ...

    def end(self, error: BaseException | None = None) -> None:
        """End the span, with the error of the try."""
        ...

    def close(self) -> None:
        """End the span of a try whose pieces are not read further."""
        ...


class Trace(Protocol):
    """The trace of one request."""

    def begin(
        self,
        job: Job,
        *,
        upstream: str = "",
        peer: Peer | None = None,
        served: str | None = None,
        retries: int = 0,
    ) -> Span:
        """Begin the span of a try.

        Args:
            job: The job, with the name of the model for this try.
            upstream: Name of the upstream; "" without one.
            peer: Its server; None for an engine of this machine.
            served: The model that answers if no piece names it.
            retries: Earlier tries with the same upstream.
        """
        ...

    def matched(self, surplus: int) -> None:
        """Record that a stop sequence matched, so that the pieces are not read further.

        `surplus` is the number of tokens that the engine wrote after it.
        """
        ...
