"""One way to run a request: what is refused, and what extensions add to the events."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tenuto.core.events import Ended, Event, Text
from tenuto.core.job import Job, Sampling
from tenuto.core.prompt import HUMAN
from tenuto.core.refusal import Kind
from tenuto.core.request import Request
from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import parse_prompt
from tenuto.service import Completions
from tenuto.stream.meter import Meter
from tests.refusals import refused

TEXT = "\n\nHuman: one two\n\nAssistant: "
JOB = Job(parse_prompt(TEXT), 9, model="any")


async def events_of(request: Request) -> list[Event]:
    async with aclosing(await Completions(EchoEngine()).run(request, Meter())) as running:
        return [event async for event in running.events]


def test_the_prompt_comes_first_as_it_was_sent() -> None:
    events = asyncio.run(events_of(Request(JOB, (HUMAN,), echo=TEXT)))
    assert events[:2] == [Text(TEXT), Text(" one")]


def test_without_echo_the_text_comes_first() -> None:
    assert asyncio.run(events_of(Request(JOB, (HUMAN,))))[0] == Text(" one")


def test_only_the_last_event_has_the_usage_and_only_where_the_caller_may_see_it() -> None:
    *_, last = asyncio.run(events_of(Request(JOB, (HUMAN,), TEXT, reports_usage=True)))
    assert isinstance(last, Ended)
    assert last.usage is not None
    assert last.usage.output_tokens == 2
    *_, last = asyncio.run(events_of(Request(JOB, (HUMAN,))))
    assert isinstance(last, Ended)
    assert last.usage is None


@pytest.mark.parametrize("echo", ["", TEXT])
def test_closing_a_run_closes_the_job(echo: str) -> None:
    async def running() -> int:
        engine = EchoEngine()
        request = Request(JOB, (HUMAN,), echo)
        async with aclosing(await Completions(engine).run(request, Meter())) as run:
            assert isinstance(await anext(run.events), Text)
            assert engine.health().running == 1
        return engine.health().running

    assert asyncio.run(running()) == 0


def test_an_extension_that_the_engine_lacks_is_refused_by_name() -> None:
    job = Job(JOB.prompt, 9, Sampling(logprobs=1))
    with refused(Kind.UNSUPPORTED, "^logprobs: "):
        Completions(EchoEngine()).check(job)
    Completions(EchoEngine()).check(Job(JOB.prompt, 9, Sampling(seed=1)))


@pytest.mark.parametrize(
    ("model", "kind"), [("no-such-model", Kind.NOT_FOUND), ("claude-sonnet-4-5", Kind.INVALID)]
)
def test_strict_models_refuses_unknown_names(model: str, kind: Kind) -> None:
    job = Job(JOB.prompt, 9, model=model)
    with refused(kind):
        Completions(EchoEngine(), strict_models=True).check(job)
    Completions(EchoEngine()).check(job)
    for name in ("echo", "claude-2.1"):
        Completions(EchoEngine(), strict_models=True).check(Job(JOB.prompt, 9, model=name))
