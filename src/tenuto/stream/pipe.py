"""Job -> events, and events -> completion.

Stop matching stands here, above every engine, so that engines cannot disagree on where a text
ends. Closing the events closes the engine's pieces, which cancels the job: a match, or a client
that is gone, needs no other signal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing

from tenuto.engine.base import (
    Engine,
    EngineError,
    EngineFailed,
    EngineOverloaded,
    FieldRefused,
    Finish,
    Job,
    JobKillsEngine,
    ModelError,
    PromptRefused,
    PromptTooLong,
    UpstreamError,
)
from tenuto.prompt.turns import HUMAN, Prompt
from tenuto.stream.logprobs import LogprobQueue
from tenuto.stream.meter import Meter
from tenuto.stream.stops import StopMatcher
from tenuto.wire.errors import (
    ApiError,
    InternalError,
    InvalidRequest,
    Overloaded,
    for_status,
)
from tenuto.wire.events import Accepted, CompletionEvent, ErrorEvent, Event, Ping
from tenuto.wire.extensions import ExtendedRequest, Logprobs
from tenuto.wire.long_text import PIECE_BYTES, STAYS_LONG_BYTES, LongText
from tenuto.wire.request import CompletionRequest
from tenuto.wire.response import Completion
from tenuto.wire.text import encoded

# How long a client should wait before it sends a request again that found no place, in seconds.
_RETRY_AFTER_S = 1.0
# Matching takes up to 5 µs a character, with stop sequences made for it.
_MATCHED_AT_ONCE = 4096


def job_of(
    request: CompletionRequest, prompt: Prompt, *, seed: int | None = None, key: str | None = None
) -> Job:
    """What an engine is to do for a request, whose prompt is parsed already.

    Args:
        request: Who asks, and how the tokens are to be chosen.
        prompt: What to continue.
        seed: See `Job`; requests of the API have none, and the seed of an `ExtendedRequest` wins.
        key: The caller's own key.
    """
    logprobs: int | None = None
    if isinstance(request, ExtendedRequest):
        seed = seed if request.seed is None else request.seed
        logprobs = request.logprobs
    return Job(
        prompt=prompt,
        max_tokens=request.max_tokens_to_sample,
        # `top_p` 0 leaves the likeliest token alone, as temperature 0 does; 1 is off.
        temperature=0.0 if request.top_p == 0 else request.temperature,
        top_p=request.top_p if request.top_p is not None and 0 < request.top_p < 1 else None,
        top_k=request.top_k or None,
        seed=seed,
        model=request.model,
        stop_sequences=tuple(request.stop_sequences),
        stream=request.stream,
        user_id=request.metadata.user_id if request.metadata else None,
        key=key,
        logprobs=logprobs,
    )


async def run(
    job: Job, engine: Engine, stop_sequences: Iterable[str] = (), meter: Meter | None = None
) -> AsyncGenerator[CompletionEvent | Ping | Accepted, None]:
    r"""Writes a completion.

    Args:
        job: What to write.
        engine: Who writes it.
        stop_sequences: What ends it, besides `\n\nHuman:`, which always does.
        meter: Counts what it takes.

    Yields:
        First a ping, or `Accepted` where there is something to tell, when the engine has
        accepted the job: from then on an error comes in the middle of an answer. Then the text.
        The last event has no text, and alone has a `stop_reason`.

    Raises:
        ApiError: The engine refused the job, or broke.
    """
    matcher = StopMatcher([HUMAN, *stop_sequences])
    tokens = None if job.logprobs is None else LogprobQueue(job.logprobs)
    meter = meter or Meter()
    meter.begin()
    ending: list[CompletionEvent] = []
    try:
        async with aclosing(engine.generate(job)) as pieces:
            async for piece in pieces:
                meter.count(piece)
                if tokens is not None:
                    tokens.push(piece.logprobs)
                text = await _matched(matcher, piece.text)
                if piece.finish is not None:
                    text += matcher.flush()
                event: CompletionEvent | None = None
                if text:
                    event = CompletionEvent(
                        text, logprobs=None if tokens is None else tokens.release(len(text))
                    )
                if matcher.stop is not None or piece.finish is not None:
                    last = _last(matcher.stop, piece.finish, tokens)
                    ending = [last] if event is None else [event, last]
                    break
                if event is not None:
                    yield event
                elif piece.accepted is not None:
                    told = piece.accepted
                    yield Accepted(told.model, told.upstream, told.warnings)
                elif not piece.tokens:
                    yield Ping()
        # Not before the engine's generator is closed: a client that does not read would keep the
        # job running behind its stop sequence.
        if not ending:
            raise InternalError("The engine ended without saying why.")
        meter.ended = ending[-1].stop_reason
        for event in ending:
            yield event
    except EngineError as error:
        refusal = _as_api_error(error)
        meter.ended = refusal.type
        raise refusal from error
    except Exception as error:
        meter.ended = error.type if isinstance(error, ApiError) else InternalError.type
        raise


async def collect(events: AsyncIterable[Event], completion_id: str, model: str) -> Completion:
    """Folds a stream into one completion: not streaming is streaming, folded.

    Raises:
        ApiError: The stream ended in an error.
    """
    text = _Gathered()
    last = CompletionEvent("")
    logprobs: Logprobs | None = None
    async for event in events:
        if isinstance(event, ErrorEvent):
            raise event.error
        if isinstance(event, CompletionEvent):
            text.add(event.completion)
            last = event
            if event.logprobs is not None:
                logprobs = logprobs or Logprobs()
                logprobs += event.logprobs
    if last.stop_reason is None:
        raise InternalError("The stream ended without a reason.")
    return Completion(
        completion_id, text.whole(), last.stop_reason, last.stop, model, logprobs, last.usage
    )


class _Gathered:
    """A text that comes in pieces, of which a million must not take more than one of their size."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self._long = bytearray()

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._size += 1 + len(piece)
        if self._size > PIECE_BYTES:
            self._long += encoded("".join(self._pieces))
            self._pieces.clear()
            self._size = 0

    def whole(self) -> str | LongText:
        rest = "".join(self._pieces)
        if not self._long:
            return rest
        self._long += encoded(rest)
        text = LongText(self._long)
        return text if len(self._long) > STAYS_LONG_BYTES else str(text)


async def _matched(matcher: StopMatcher, text: str) -> str:
    """Push a piece through the matcher. Other requests go on in between where it is long."""
    if len(text) <= _MATCHED_AT_ONCE:
        return matcher.push(text)
    left = []
    for start in range(0, len(text), _MATCHED_AT_ONCE):
        left.append(matcher.push(text[start : start + _MATCHED_AT_ONCE]))
        await asyncio.sleep(0)
    return "".join(left)


def _last(stop: str | None, finish: Finish | None, tokens: LogprobQueue | None) -> CompletionEvent:
    """The last event, without text, as the service sends it."""
    logprobs = None if tokens is None else tokens.release()
    if stop is None and finish is Finish.LENGTH:
        return CompletionEvent("", "max_tokens", logprobs=logprobs)
    # A model that ends its text by itself has ended its turn; the service says so with the
    # sequence that would have followed.
    return CompletionEvent("", "stop_sequence", stop or HUMAN, logprobs)


def _as_api_error(error: EngineError) -> ApiError:
    message = str(error)
    match error:
        case PromptTooLong() | PromptRefused() | FieldRefused():
            return InvalidRequest(message)
        case EngineOverloaded():
            return Overloaded(message, retry_after=_RETRY_AFTER_S)
        case UpstreamError():
            return for_status(error.status)(message, retry_after=error.retry_after)
        case ModelError():
            # The reason names a path on this machine, which is not the caller's business.
            return InternalError("The model could not be loaded; the server's log says why.")
        case JobKillsEngine() | EngineFailed(retryable=False):
            return InternalError(message, should_retry=False)
        case _:
            return InternalError(message)
