"""What extensions add to the events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import parse_prompt
from tenuto.stream.extensions import extended
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import job_of, run
from tenuto.wire.events import CompletionEvent, Event, Ping
from tenuto.wire.extensions import ExtendedRequest

TEXT = "\n\nHuman: one two\n\nAssistant: "


def asked(*, echo: bool = False, seed: int | None = None) -> ExtendedRequest:
    return ExtendedRequest(
        model="any", prompt=TEXT, max_tokens_to_sample=9, echo=echo, seed=seed, logprobs=None
    )


async def events_of(request: ExtendedRequest) -> list[Event]:
    meter = Meter()
    job = job_of(request, parse_prompt(TEXT))
    return [event async for event in extended(run(job, EchoEngine(), (), meter), request, meter)]


def test_the_prompt_comes_first_as_it_was_sent() -> None:
    events = asyncio.run(events_of(asked(echo=True)))
    assert events[:3] == [Ping(), CompletionEvent(TEXT), CompletionEvent(" one")]


def test_without_echo_nothing_comes_first() -> None:
    assert asyncio.run(events_of(asked()))[:2] == [Ping(), CompletionEvent(" one")]


def test_the_last_event_alone_tells_what_it_took() -> None:
    *others, last = [
        event
        for event in asyncio.run(events_of(asked(echo=True)))
        if isinstance(event, CompletionEvent)
    ]
    assert last.usage is not None
    assert last.usage.output_tokens == 2
    assert all(event.usage is None for event in others)


def test_closing_them_closes_the_job() -> None:
    async def running() -> int:
        engine, meter = EchoEngine(), Meter()
        events = run(job_of(asked(), parse_prompt(TEXT)), engine, (), meter)
        async with aclosing(extended(events, asked(), meter)) as added:
            await anext(added)
            await anext(added)
            assert (await engine.ping()).running == 1
        return (await engine.ping()).running

    assert asyncio.run(running()) == 0


def test_the_seed_reaches_the_job() -> None:
    assert job_of(asked(seed=7), parse_prompt(TEXT)).seed == 7
    assert job_of(asked(), parse_prompt(TEXT), seed=3).seed == 3
