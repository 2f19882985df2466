"""The usage of a completion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from tenuto.core.events import End
from tenuto.core.job import Finish, Job, Piece, Usage
from tenuto.core.refusal import Kind, Refusal, failed, too_long
from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import parse_prompt
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run

PROMPT = parse_prompt("\n\nHuman: one two three\n\nAssistant:")


class Clock:
    """Ten seconds later each time that it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 10
        return self.now


class Scripted(EchoEngine):
    def __init__(self, *script: Piece | Exception) -> None:
        super().__init__()
        self._script = script

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        for step in self._script:
            if isinstance(step, Exception):
                raise step
            yield step


async def metered(engine: EchoEngine, *stops: str) -> Meter:
    meter = Meter(Clock())
    try:
        async for _ in run(Job(PROMPT, 99), engine, stops, meter):
            pass
    except (Refusal, ZeroDivisionError):
        pass
    return meter


def test_time_to_first_token_ends_at_the_first_token() -> None:
    engine = Scripted(
        Piece("", usage=Usage(5, None, 0)),
        Piece("", tokens=1, usage=Usage(5, 3, 1)),  # half a character
        Piece(" One", tokens=1, usage=Usage(5, 3, 2)),
        Piece("", finish=Finish.END),
    )
    assert asyncio.run(metered(engine)).usage() == Usage(5, 3, 2, 10_000.0)


def test_partial_character_counts_as_first_token_and_acceptance_does_not() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin()
    meter.count(Piece(""))
    clock.now += 5
    meter.count(Piece("", tokens=1))
    clock.now += 500
    meter.count(Piece("é", tokens=1))
    assert meter.usage().time_to_first_token_ms == 15_000


def test_uncounted_usage_is_unknown() -> None:
    meter = asyncio.run(metered(Scripted(Piece(""), Piece("", finish=Finish.END))))
    assert meter.usage() == Usage(None, None, None, None)


def test_tokens_are_counted_up_to_the_stop_sequence() -> None:
    usage = asyncio.run(metered(EchoEngine(), " two")).usage()
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (5, 0, 2)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([Piece(""), Piece(" One", 1), Piece("", finish=Finish.LENGTH)], End.LENGTH),
        ([Piece(""), Piece("", finish=Finish.END)], End.TURN),
        ([too_long(9, 1)], Kind.TOO_LONG),
        ([Piece(""), failed("It broke.")], Kind.FAILED),
        ([Piece(""), ZeroDivisionError()], Kind.FAILED),
        ([Piece("")], Kind.FAILED),
    ],
)
def test_meter_records_the_outcome(script: list[Piece | Exception], outcome: End | Kind) -> None:
    assert asyncio.run(metered(Scripted(*script))).outcome is outcome
