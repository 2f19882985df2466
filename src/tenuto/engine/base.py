"""What an engine is: a job in, pieces of text out.

An engine knows nothing of HTTP, of stop sequences' matching, or of API versions.

    EngineError
    ├── PromptTooLong     the prompt does not fit the model's context
    ├── PromptRefused     the model cannot be given the prompt
    ├── FieldRefused      the engine cannot do what a field of the request asks for
    ├── EngineOverloaded  no room to wait in; try again later
    ├── EngineFailed      the engine broke while it worked; it restarts by itself
    ├── JobKillsEngine    the engine broke twice while it worked on this job
    ├── UpstreamError     a server behind this one refused, failed, or cannot be reached
    └── ModelError        the model cannot be loaded, and trying again will not help
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tenuto.prompt.turns import Prompt


class EngineError(Exception):
    """Why an engine cannot finish a job. The message is fit for the caller's eyes."""


class PromptTooLong(EngineError):
    """The prompt does not fit.

    Args:
        tokens: The prompt's length in tokens.
        limit: The most tokens that a prompt may have.
    """

    def __init__(self, tokens: int, limit: int) -> None:
        super().__init__(f"prompt is too long: {tokens} tokens > {limit} maximum")
        self.tokens = tokens
        self.limit = limit


class PromptRefused(EngineError):
    """The model cannot be given the prompt; the message says why."""


class FieldRefused(EngineError):
    """The engine cannot do what a field of the request asks for.

    Args:
        name: The field's name in the API.
        reason: Why not, and what would help: a sentence.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")


class EngineOverloaded(EngineError):
    """All places are taken, also those to wait in."""


class EngineFailed(EngineError):
    """The engine broke in the middle of its work.

    Args:
        message: For the caller.
        retryable: Whether a client may send the request again by itself. False where the
            request itself is likely to be the cause.
    """

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class JobKillsEngine(EngineError):
    """The engine broke twice while it worked on this job, and does not try it again."""


class UpstreamError(EngineError):
    """A server behind this one did not answer as it should.

    Three questions have answers of their own: whether to ask the same server again, whether to
    ask the next one, and whether the server is to blame.

    Args:
        message: For the caller; it holds no key and no address.
        status: The status that says so in this API, 400 to 599.
        retry_after: Seconds after which another try makes sense, if that is known.
        retryable: Whether the same request may succeed on another try.
        moves_on: Whether another server may do what this one did not; None: if `retryable`.
        is_failure: Whether it counts as a failure of the server; None: if `retryable`, unless
            the server only asks for less, with status 429.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        retry_after: float | None = None,
        retryable: bool = False,
        moves_on: bool | None = None,
        is_failure: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.retryable = retryable
        self.moves_on: bool = retryable if moves_on is None else moves_on
        self.is_failure: bool = (retryable and status != 429) if is_failure is None else is_failure


class ModelError(EngineError):
    """The model is missing, damaged or not supported."""


class Finish(StrEnum):
    """Why a model stopped writing."""

    END = "end"
    """It ended its text by itself."""
    LENGTH = "length"
    """It wrote as many tokens as it was allowed, or as its context holds."""


@dataclass(frozen=True, slots=True)
class Job:
    r"""One completion to write.

    Attributes:
        prompt: What to continue.
        max_tokens: Most tokens to write, 1 or more. An engine caps it at what its context holds.
        temperature: 0 (always the likeliest token) or more.
        top_p: Above 0 and at most 1, or None for off.
        top_k: 1 or more, or None for off.
        seed: 0 to 2**64 - 1 for a repeatable choice of tokens, None for a random one.
        model: The name that was asked for. An engine with one model answers to any.
        stop_sequences: What ends the text besides `\n\nHuman:`. It is matched above the engine;
            an engine may end there too, or later, but not earlier.
        stream: Whether somebody sees the text as it comes.
        user_id: The caller's opaque name for its user.
        key: The caller's own key, for engines that are told to pass it on.
        logprobs: How many of the likeliest tokens to tell for each token that is written, besides
            that token's own log probability; 0 for that alone, None for nothing at all. Only
            engines whose `Status.extensions` has it look at it.
    """

    prompt: Prompt
    max_tokens: int
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    model: str = ""
    stop_sequences: tuple[str, ...] = ()
    stream: bool = True
    user_id: str | None = None
    key: str | None = field(default=None, repr=False)
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is known of a job once it is accepted.

    Attributes:
        model: The model that answers, None for the engine's only one.
        upstream: The name of the server behind this one that answers, None without.
        warnings: What was changed or left out on the way there, a sentence each, for the caller.
    """

    model: str | None = None
    upstream: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    r"""A token that was written, and how likely it was.

    Attributes:
        token: Its text; `bytes:` and `\xNN` for each byte if that is no whole text.
        start: Where its first character stands in the job's whole text.
        end: Where its last character ends. Tokens that share a character overlap.
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
    """What a job took so far. None: the engine does not know.

    Attributes:
        input_tokens: The prompt's length in tokens, with those that a template adds.
        cached_tokens: How many of them were not computed again, but found in a cache.
        output_tokens: Tokens written.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text, whole characters only.

    Attributes:
        text: The text since the piece before. The first piece has none: it says that the job
            is accepted.
        tokens: How many tokens were written for this piece, those of held-back bytes included.
        finish: Why the text ends here; None in all pieces but the last.
        accepted: In the first piece, what is known by then; None if that is nothing.
        logprobs: Of tokens that were not told before, if the job asks for them; some may come
            before or after the piece that has their text.
        usage: All that the job took so far; None if that is not known yet.
    """

    text: str
    tokens: int = 0
    finish: Finish | None = None
    accepted: Accepted | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    # What a job took is no part of what it says.
    usage: Usage | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Status:
    """How an engine is.

    Attributes:
        ready: Whether it answers without first having to load.
        model: The name of the model that answers, or None while it is not known.
        detail: One sentence for people.
        context: The most tokens of prompt and completion together, 0 while not known.
        longest_prompt: Bytes that no prompt that fits the context can have, 0 while not known.
        running: Jobs being written at this moment.
        waiting: Jobs accepted that wait for their place.
        kv_blocks: Size of the KV cache in blocks.
        kv_blocks_reserved: Blocks that the running jobs may come to need.
        restarts: How often the engine broke and started again.
        models: The names that it answers to, where it does not answer to all.
        upstreams: The servers behind it, by name, and how each is.
        extensions: Which of `seed` and `logprobs` of a job have an effect.
    """

    ready: bool
    model: str | None
    detail: str
    context: int = 0
    longest_prompt: int = 0
    running: int = 0
    waiting: int = 0
    kv_blocks: int = 0
    kv_blocks_reserved: int = 0
    restarts: int = 0
    models: tuple[str, ...] = ()
    upstreams: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The models that answer: the only one, or those that are named."""
        return (self.model,) if self.model is not None else self.models


class Engine(Protocol):
    """Writes completions. Made by `registry.create`; its methods share one event loop."""

    async def start(self) -> None:
        """Begins to load, and returns at once."""
        ...

    async def ready(self) -> str:
        """Waits until the model is loaded.

        Returns:
            The model's name, as it stands in answers.

        Raises:
            ModelError: It cannot be loaded.
        """
        ...

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Writes a completion. Closing the generator cancels the job and frees its slot.

        Yields:
            First an empty piece, when the job is accepted; then the text as it comes; the last
            piece carries `finish`.

        Raises:
            EngineError: The job was refused (before the first piece) or the engine broke.
        """
        ...

    async def ping(self) -> Status:
        """How the engine is, in well under a second, also while it is busy."""
        ...

    async def aclose(self) -> None:
        """Ends the engine and everything that it started. Running jobs raise `EngineFailed`."""
        ...
