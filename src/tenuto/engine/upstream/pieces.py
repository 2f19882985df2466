"""Responses of upstreams -> pieces, in whichever API and form they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

from tenuto.core.job import Accepted, Finish, Piece
from tenuto.engine.upstream.connection import Answer
from tenuto.engine.upstream.failures import TOO_LARGE, UpstreamError, broke_off, garbage
from tenuto.engine.upstream.json_text import Halves, well_formed
from tenuto.engine.upstream.objects import MAX_BYTES, Objects, Said
from tenuto.engine.upstream.reading import Manner, Read, Reading

_USAGE_S: Final = 0.25
"""How long the end of an answer is held back for its usage, which comes right behind it."""


async def pieces_of(answer: Answer, manner: Manner) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer: events, one JSON object, or several, whatever was asked for.

    All events that come together make one piece, because most of what an event costs is the
    sending. An answer that nobody watches is one piece at its end.

    Raises:
        UpstreamError: It is an error, breaks off, or is no answer.
    """
    reading, halves, continuation = Reading(), Halves(), manner.continuation
    length, announced, ended = 0, False, False
    kept: list[str] = []
    kept_tokens = 0
    with Objects(answer.whose) as objects:
        while not (ended or reading.done or reading.finish is not None):
            data = await answer.read()
            ended = not data
            _take(objects.end() if ended else objects.push(data), reading, manner.read)
            if reading.begun and not announced and not manner.plain:
                announced = True
                yield Piece("", accepted=_accepted(reading, manner))
            if reading.texts:
                text, tokens = "".join(reading.texts), len(reading.texts)
                reading.texts.clear()
                length += len(text)
                if length > MAX_BYTES:
                    raise UpstreamError(TOO_LARGE, status=500, again=True)
                text = halves.push(text)
                if continuation is not None:
                    text = continuation.push(text)
                if manner.plain:
                    kept.append(text)
                    kept_tokens += tokens
                elif text:
                    yield Piece(text, tokens)
            if reading.failure is not None:
                raise reading.failure
        if not reading.begun:
            raise garbage()
        if reading.finish is None:
            if not (reading.done or objects.whole):
                raise broke_off()
            # It says that it has ended, though not why.
            reading.finish = Finish.END
        if manner.awaits_usage and not (ended or reading.done or reading.usage is not None):
            await _usage(answer, objects, reading, manner.read)
    answer.whole = True
    rest = halves.end()
    if continuation is not None:
        rest = continuation.push(rest) + continuation.end()
    rest = "".join(kept) + rest + well_formed(reading.stop)
    if manner.plain:
        yield Piece("", accepted=_accepted(reading, manner))
    yield Piece(rest, kept_tokens, finish=reading.finish, usage=reading.usage)


def _accepted(reading: Reading, manner: Manner) -> Accepted:
    return Accepted(reading.model or manner.model, warnings=manner.warnings)


def _take(batch: Iterable[Said], reading: Reading, read: Read) -> None:
    """Read what came together. An error ends the text before it, not without it."""
    for name, said in batch:
        if said is None:
            reading.done = True
        elif isinstance(said, UpstreamError):
            # After its end an answer is whole, whatever follows.
            if reading.finish is None:
                reading.failure = said
        elif reading.finish is None:
            read(name, said, reading)
        else:
            _read_usage(name, said, reading, read)
        if reading.done or reading.failure is not None:
            return


def _read_usage(name: str, said: dict[str, Any], reading: Reading, read: Read) -> None:
    """Take the usage of what comes after the text's end, and nothing else."""
    after = Reading(begun=True, usage=reading.usage)
    read(name, said, after)
    reading.usage, reading.done = after.usage, after.done


async def _usage(answer: Answer, objects: Objects, reading: Reading, read: Read) -> None:
    """Wait for the usage, but not for long. Without it the answer is whole as well."""
    with contextlib.suppress(TimeoutError, UpstreamError):
        async with asyncio.timeout(_USAGE_S):
            while reading.usage is None and not reading.done and (data := await answer.read()):
                _take(objects.push(data), reading, read)
