"""Job -> events.

Stop sequences are matched here, above all engines, so that they end texts at the same place.
Closing the events closes the engine's generator, which cancels the job after a match or a
disconnect.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace

from tenuto.core.events import End, Ended, Event, Text
from tenuto.core.job import Accepted, Finish, Job, Piece
from tenuto.core.refusal import Kind, ModelError, Refusal, failed
from tenuto.core.tracing import WatchedPieces
from tenuto.engine.base import Engine
from tenuto.stream.logprobs import LogprobQueue
from tenuto.stream.meter import Meter
from tenuto.stream.stops import StopMatcher
from tenuto.stream.token_ends import TokenEnds
from tenuto.stream.trimmed import TrimmedStopMatcher

# Matching takes up to 5 µs a character, with adversarial stop sequences.
_MATCHED_AT_ONCE = 4096


async def run(
    job: Job, engine: Engine, stops: Iterable[str], meter: Meter | None = None
) -> AsyncGenerator[Event, None]:
    """Write a completion.

    Args:
        job: The job.
        engine: The engine that writes it.
        stops: All stop sequences, those of the dialect included.
        meter: Measures the usage.

    Yields:
        `Accepted`, once the engine has accepted the job; then the prompt, if `prompt_logprobs` is
        set; then text, and last `Ended`.

    Raises:
        Refusal: The engine refused the job (before the first event), or failed.
    """
    matcher = TrimmedStopMatcher(stops) if job.trims else StopMatcher(stops)
    tokens = None if job.sampling.logprobs is None else LogprobQueue()
    meter = meter or Meter()
    meter.begin()
    ends = TokenEnds()
    ids: list[int] = []
    last_text: Text | None = None
    ended: Ended | None = None
    accepted = False
    try:
        started = engine.generate(job) if job.trace is None else _traced(engine, job)
        async with aclosing(started) as pieces:
            async for piece in pieces:
                meter.count(piece)
                ends.push(piece)
                if piece.ids:
                    ids += piece.ids
                if tokens is not None:
                    tokens.push(piece.logprobs)
                if not accepted:
                    accepted = True
                    yield piece.accepted or Accepted()
                if piece.prompt is not None:
                    yield piece.prompt
                text = piece.text
                if len(text) <= _MATCHED_AT_ONCE:
                    text = matcher.push(text)
                else:
                    text = await _matched(matcher, text)
                if piece.finish is not None:
                    text += matcher.flush()
                event: Text | None = None
                if text:
                    released = None
                    if tokens is not None:
                        released = tokens.release(len(text), matcher.trimmed)
                    event = Text(text, released, ids=tuple(ids))
                    ids.clear()
                if matcher.stop is not None or piece.finish is not None:
                    last_text, ended = event, _ended(matcher, piece.finish, tokens)
                    if matcher.stop is not None:
                        surplus = ends.beyond(matcher.stop_end)
                        meter.cut(surplus)
                        if job.trace is not None:
                            job.trace.matched(surplus)
                    break
                ends.release(matcher.settled)
                if event is not None:
                    if meter.transcript is not None:
                        meter.transcript.add(event.text)
                    yield event
        # After the engine's generator is closed, because a client that does not read would keep
        # the job running after its stop sequence.
        if ended is None:
            raise failed("The engine ended without a reason.")
        meter.end(ended.end)
        if (transcript := meter.transcript) is not None:
            if last_text is not None:
                transcript.add(last_text.text)
            transcript.close(ended)
        if last_text is not None:
            yield last_text
        yield ended
    except ModelError as error:
        refusal = failed("The model could not be loaded; see the server's log.")
        meter.end(refusal.kind)
        raise refusal from error
    except Refusal as refusal:
        meter.end(refusal.kind)
        raise
    except Exception:
        meter.end(Kind.FAILED)
        raise
    finally:
        if (transcript := meter.transcript) is not None and transcript.ended is None:
            transcript.close()


def _traced(engine: Engine, job: Job) -> AsyncGenerator[Piece, None]:
    """Start a job in a span, unless the engine begins spans itself."""
    assert job.trace is not None
    capabilities = engine.capabilities
    if capabilities.traces_tries:
        return engine.generate(job)
    span = job.trace.begin(job, served=capabilities.model)
    return WatchedPieces(engine.generate(replace(job, span=span)), span)


async def _matched(matcher: StopMatcher, text: str) -> str:
    """Push a long piece through the matcher, in slices."""
    # Imported late because commands start an engine before they import it.
    import asyncio

    free = []
    for start in range(0, len(text), _MATCHED_AT_ONCE):
        free.append(matcher.push(text[start : start + _MATCHED_AT_ONCE]))
        await asyncio.sleep(0)
    return "".join(free)


def _ended(matcher: StopMatcher, finish: Finish | None, tokens: LogprobQueue | None) -> Ended:
    if matcher.stop is not None:
        released = None if tokens is None else tokens.release(0, matcher.trimmed)
        return Ended(End.STOP, matcher.stop, released)
    logprobs = None if tokens is None else tokens.rest()
    return Ended(End.LENGTH if finish is Finish.LENGTH else End.TURN, None, logprobs)
