"""Answers of other servers -> pieces, in whichever API they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field

from tenuto.engine.base import Accepted, Finish, Piece, UpstreamError
from tenuto.engine.upstream.connection import Answer
from tenuto.engine.upstream.failures import BROKE_OFF, GARBAGE
from tenuto.prompt.render import Continuation
from tenuto.wire.event_source import EventSource, ServerSentEvent


@dataclass(slots=True)
class Reading:
    """What is known of an answer so far. The reader of an API writes it.

    Attributes:
        accepted: That there will be an answer, and whose.
        texts: Text that came since the last piece, one entry for each event.
        finish: Why the text ends, once it does.
        stop: The stop sequence that ended it, if the server took it away. It is put back, so
            that what matches them above finds it, as in all other answers.
        failure: Why the answer breaks off.
    """

    accepted: Accepted | None = None
    texts: list[str] = field(default_factory=list)
    finish: Finish | None = None
    stop: str = ""
    failure: UpstreamError | None = None


ReadEvent = Callable[[ServerSentEvent, Reading], None]
"""Writes down what an event says.

Raises:
    UpstreamError: It is no event of its API.
"""

ReadWhole = Callable[[dict[str, object], Reading], None]
"""Writes down what an answer in one piece says: at the end, all of it.

Raises:
    UpstreamError: It is no answer of its API.
"""


async def whole(
    answer: Answer, read: ReadWhole, continuation: Continuation | None = None
) -> AsyncGenerator[Piece, None]:
    """The pieces of an answer that comes at once."""
    reading = Reading()
    read(await answer.json(), reading)
    answer.whole = True
    if reading.accepted is None or reading.finish is None:
        raise UpstreamError(GARBAGE, status=500, retryable=True)
    yield Piece("", accepted=reading.accepted)
    text = "".join(reading.texts)
    if continuation is not None:
        text = continuation.push(text) + continuation.end()
    yield Piece(text + reading.stop, tokens=len(reading.texts), finish=reading.finish)


async def streamed(
    answer: Answer, read: ReadEvent, continuation: Continuation | None = None
) -> AsyncGenerator[Piece, None]:
    """The pieces of a streamed answer: one for all events that come together.

    Most of what an event costs is the sending, so those of one read are sent as one.
    """
    events = EventSource()
    reading = Reading()
    announced = False
    async for data in answer.chunks():
        for event in _whole_events(events, data):
            try:
                read(event, reading)
            except UpstreamError as error:
                reading.failure = error
            if reading.finish is not None or reading.failure is not None:
                break
        if not announced and reading.accepted is not None:
            announced = True
            yield Piece("", accepted=reading.accepted)
        if reading.texts:
            text, tokens = "".join(reading.texts), len(reading.texts)
            reading.texts.clear()
            if continuation is not None:
                text = continuation.push(text)
            if text:
                yield Piece(text, tokens)
        if reading.failure is not None:
            raise reading.failure
        if reading.finish is not None:
            answer.whole = True
            rest = continuation.end() if continuation is not None else ""
            yield Piece(rest + reading.stop, finish=reading.finish)
            return
    raise UpstreamError(BROKE_OFF if announced else GARBAGE, status=500, retryable=True)


def _whole_events(events: EventSource, data: bytes) -> list[ServerSentEvent]:
    try:
        return events.push(data)
    except ValueError:
        raise UpstreamError(GARBAGE, status=500, retryable=True) from None
