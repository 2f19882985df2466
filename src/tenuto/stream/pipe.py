"""Job -> events.

Stop matching stands here, above every engine, so that engines cannot disagree on where a text
ends. Closing the events closes the engine's pieces, which cancels the job: a match, or a client
that disconnects, needs no other signal.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from tenuto.core.events import End, Ended, Event, Text
from tenuto.core.job import Accepted, Finish, Job
from tenuto.core.refusal import Kind, ModelError, Refusal, failed
from tenuto.engine.base import Engine
from tenuto.stream.logprobs import LogprobQueue
from tenuto.stream.meter import Meter
from tenuto.stream.stops import StopMatcher

# Matching takes up to 5 µs a character, with stop sequences made for it.
_MATCHED_AT_ONCE = 4096


async def run(
    job: Job, engine: Engine, stops: Iterable[str], meter: Meter | None = None
) -> AsyncGenerator[Event, None]:
    """Write a completion.

    Args:
        job: What to write.
        engine: The engine that writes it.
        stops: All stop sequences, those of the dialect included.
        meter: Counts what the completion takes.

    Yields:
        First `Accepted`, once the engine has accepted the job: an error from then on comes in the
        middle of an answer. Then the text, and last `Ended`.

    Raises:
        Refusal: The engine refused the job, or broke.
    """
    matcher = StopMatcher(stops)
    tokens = None if job.sampling.logprobs is None else LogprobQueue()
    meter = meter or Meter()
    meter.begin()
    last_text: Text | None = None
    ended: Ended | None = None
    accepted = False
    try:
        async with aclosing(engine.generate(job)) as pieces:
            async for piece in pieces:
                meter.count(piece)
                if tokens is not None:
                    tokens.push(piece.logprobs)
                if not accepted:
                    accepted = True
                    yield piece.accepted or Accepted()
                text = await _matched(matcher, piece.text)
                if piece.finish is not None:
                    text += matcher.flush()
                event: Text | None = None
                if text:
                    event = Text(text, None if tokens is None else tokens.release(len(text)))
                if matcher.stop is not None or piece.finish is not None:
                    last_text, ended = event, _ended(matcher.stop, piece.finish, tokens)
                    break
                if event is not None:
                    yield event
        # Not before the engine's generator is closed: a client that does not read would keep the
        # job running behind its stop sequence.
        if ended is None:
            raise failed("The engine ended without saying why.")
        meter.end(ended.end)
        if last_text is not None:
            yield last_text
        yield ended
    except ModelError as error:
        refusal = failed("The model could not be loaded; the server's log says why.")
        meter.end(refusal.kind)
        raise refusal from error
    except Refusal as refusal:
        meter.end(refusal.kind)
        raise
    except Exception:
        meter.end(Kind.FAILED)
        raise


async def _matched(matcher: StopMatcher, text: str) -> str:
    """Push a piece through the matcher. Other requests go on in between where it is long."""
    if len(text) <= _MATCHED_AT_ONCE:
        return matcher.push(text)
    left = []
    for start in range(0, len(text), _MATCHED_AT_ONCE):
        left.append(matcher.push(text[start : start + _MATCHED_AT_ONCE]))
        await asyncio.sleep(0)
    return "".join(left)


def _ended(stop: str | None, finish: Finish | None, tokens: LogprobQueue | None) -> Ended:
    logprobs = None if tokens is None else tokens.release()
    if stop is not None:
        return Ended(End.STOP, stop, logprobs)
    return Ended(End.LENGTH if finish is Finish.LENGTH else End.TURN, None, logprobs)
