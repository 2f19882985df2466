"""The text of a completion that is kept while it is passed on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tenuto.core.events import End
from tenuto.core.job import Finish, Job, Piece
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import parse_prompt
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run
from tenuto.stream.transcript import Transcript

pytestmark = pytest.mark.anyio

JOB = Job(parse_prompt("\n\nHuman: one two three\n\nAssistant:"), 9)


class Failing(EchoEngine):
    """An engine that fails after its first text."""

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        yield Piece("")
        yield Piece(" one", 1)
        raise Refusal(Kind.OVERLOADED, "busy")
        yield Piece("", finish=Finish.END)


class Watched(Transcript):
    """A transcript that notes its end."""

    def __init__(self, most: int, ends: list[Transcript]) -> None:
        super().__init__(most)
        self._ends = ends

    def done(self) -> None:
        self._ends.append(self)


def watched(most: int = 100) -> tuple[Meter, list[Transcript]]:
    meter, done = Meter(), list[Transcript]()
    meter.transcript = Watched(most, done)
    return meter, done


async def test_transcript_has_the_text_and_the_end_that_the_caller_gets() -> None:
    meter, done = watched()
    async for _ in run(JOB, EchoEngine(), (" three",), meter):
        pass
    (transcript,) = done
    assert transcript.text == " one two"
    assert transcript.ended is not None
    assert (transcript.ended.end, transcript.ended.stop) == (End.STOP, " three")


async def test_completion_that_is_left_has_no_end() -> None:
    meter, done = watched()
    async with aclosing(run(JOB, EchoEngine(), (), meter)) as events:
        await anext(events)
        await anext(events)
        assert not done
    (transcript,) = done
    assert (transcript.text, transcript.ended, meter.outcome) == (" one", None, None)


async def test_completion_that_fails_is_done_before_the_error() -> None:
    meter, done = watched()
    with pytest.raises(Refusal):
        async for _ in run(JOB, Failing(), (), meter):
            pass
    assert (done[0].text, done[0].ended, meter.outcome) == (" one", None, Kind.OVERLOADED)


async def test_text_beyond_the_bound_is_not_kept() -> None:
    meter, done = watched(most=6)
    async for _ in run(JOB, EchoEngine(), (), meter):
        pass
    # " two" is too long, and " x" would follow on a gap.
    done[0].add(" x")
    assert (done[0].text, done[0].chars, done[0].too_long) == (" one", 6, True)
