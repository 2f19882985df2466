"""Responses of upstreams -> pieces, for all APIs and forms of response."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from tenuto.core.job import Accepted, Finish, Piece
from tenuto.core.text import well_formed
from tenuto.engine.upstream.connection import UpstreamResponse
from tenuto.engine.upstream.errors import INCOMPLETE, INVALID_RESPONSE, TOO_LARGE, UpstreamError
from tenuto.engine.upstream.json_text import Halves
from tenuto.engine.upstream.objects import MAX_BYTES, Item, Objects
from tenuto.engine.upstream.reading import Reading, UpstreamRequest

_USAGE_S: Final = 0.25
"""Longest wait for the usage after the end of the text; it usually follows at once."""


async def pieces_of(
    response: UpstreamResponse, request: UpstreamRequest
) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of a response, whatever form was requested.

    Events that arrive together become one piece, because sending is most of the cost of an event.
    A response to a plain request becomes one piece at its end.

    Raises:
        UpstreamError: The response is an error, incomplete or invalid.
    """
    reading, halves, continuation = Reading(), Halves(), request.continuation
    is_plain = not request.body["stream"]
    length, accepted, ended = 0, False, False
    kept: list[str] = []
    kept_tokens = 0
    with Objects(response.policy) as objects:
        while not (ended or reading.done or reading.finish is not None):
            data = await response.read()
            ended = not data
            _take(objects.end() if ended else objects.push(data), reading, request)
            if reading.begun and not accepted and not is_plain:
                accepted = True
                yield Piece("", accepted=_accepted(reading, request))
            if reading.texts:
                text, tokens = "".join(reading.texts), len(reading.texts)
                reading.texts.clear()
                length += len(text)
                if length > MAX_BYTES:
                    raise UpstreamError(TOO_LARGE)
                text = halves.push(text)
                if continuation is not None:
                    text = continuation.push(text)
                if is_plain:
                    kept.append(text)
                    kept_tokens += tokens
                elif text:
                    yield Piece(text, tokens)
            if reading.failure is not None:
                raise reading.failure
        if not reading.begun:
            raise UpstreamError(INVALID_RESPONSE)
        if reading.finish is None:
            if not (reading.done or objects.complete):
                raise UpstreamError(INCOMPLETE)
            # Complete, although without a reason.
            reading.finish = Finish.END
        if request.awaits_usage and not (ended or reading.done or reading.usage is not None):
            await _await_usage(response, objects, reading, request)
    response.complete = True
    rest = halves.end()
    if continuation is not None:
        rest = continuation.push(rest) + continuation.end()
    rest = "".join(kept) + rest + well_formed(reading.stop)
    if is_plain:
        yield Piece("", accepted=_accepted(reading, request))
    yield Piece(rest, kept_tokens, finish=reading.finish, usage=reading.usage)


def _accepted(reading: Reading, request: UpstreamRequest) -> Accepted:
    return Accepted(reading.model or request.model, warnings=tuple(request.warnings))


def _take(batch: Iterable[Item], reading: Reading, request: UpstreamRequest) -> None:
    """Read items that arrived together, up to an error: the text before that is delivered."""
    read = request.read
    for name, value in batch:
        if value is None:
            reading.done = True
        elif isinstance(value, UpstreamError):
            # An error after the end of the text does not spoil it.
            if reading.finish is None:
                reading.failure = value
        elif reading.finish is None:
            read(name, value, reading)
        else:
            # After the end of the text, only its usage matters.
            after = Reading(begun=True, usage=reading.usage)
            read(name, value, after)
            reading.usage, reading.done = after.usage, after.done
        if reading.done or reading.failure is not None:
            return


async def _await_usage(
    response: UpstreamResponse, objects: Objects, reading: Reading, request: UpstreamRequest
) -> None:
    """Wait for the usage for a short time. A response without it is complete, too."""
    with contextlib.suppress(TimeoutError, UpstreamError):
        async with asyncio.timeout(_USAGE_S):
            while reading.usage is None and not reading.done and (data := await response.read()):
                _take(objects.push(data), reading, request)
