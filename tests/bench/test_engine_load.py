"""Measurements of engines, in virtual time, with engines of known speeds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest

from tenuto.bench.candidates import PREFILL, Candidate, Measured
from tenuto.bench.engine_load import measure
from tenuto.core.job import Finish, Job, Piece, Usage
from tenuto.core.refusal import ModelError, failed
from tenuto.engine.base import Capabilities, Engine, Health
from tests.virtual_time import run

CANDIDATE = Candidate("fake", "Fake", 1)
SHAPES = [PREFILL, 1, 8]


@dataclass
class FakeEngine(Engine):
    """An engine of known speed, which counts words as tokens.

    Attributes:
        load_s: Seconds to load.
        prompt_s: Seconds for a token of a prompt.
        step_s: Seconds for a token of each stream.
        breaks: Number of the job that ends with an error.
        hangs: Number of the job that never gets a token.
    """

    load_s: float = 1.0
    prompt_s: float = 0.01
    step_s: float = 0.05
    breaks: int | None = None
    hangs: int | None = None
    context: int = 2048
    closed: int = 0
    prompts: list[str] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities("fake", context=self.context)

    def health(self) -> Health:
        return Health(True, "")

    async def start(self) -> None:
        pass

    async def ready(self) -> str:
        await asyncio.sleep(self.load_s)
        return "fake"

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        number = len(self.prompts)
        self.prompts.append(job.prompt.text)
        tokens = len(job.prompt.text.split())
        yield Piece("", usage=Usage(input_tokens=tokens))
        if number == self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(tokens * self.prompt_s)
        if number == self.breaks:
            raise failed("The worker\n died.")
        for left in reversed(range(job.max_tokens)):
            yield Piece("x", 1, None if left else Finish.LENGTH)
            await asyncio.sleep(self.step_s)

    async def aclose(self) -> None:
        self.closed += 1


def measured(engine: Engine, seconds: float = 60.0, shapes: list[int] = SHAPES) -> Measured:
    return run(measure(CANDIDATE, lambda: engine, shapes, seconds))


def test_rates_are_those_of_the_engine() -> None:
    engine = FakeEngine()
    found = measured(engine)
    assert found.failure == ""
    assert found.load_s == pytest.approx(1.0)
    # The step of the last token is part of the request.
    assert found.rates[PREFILL] == pytest.approx(100, rel=0.05)
    assert found.rates[1] == pytest.approx(20, rel=0.01)
    assert found.rates[8] == pytest.approx(160, rel=0.01)
    assert engine.closed == 1


def test_prompts_share_no_beginning() -> None:
    engine = FakeEngine()
    measured(engine)
    firsts = [prompt.split()[0] for prompt in engine.prompts]
    assert len(set(firsts)) == len(firsts)


@pytest.mark.parametrize("context", [64, 2048])
def test_long_prompt_fits_the_context(context: int) -> None:
    engine = FakeEngine(context=context)
    assert measured(engine).failure == ""
    longest = max(len(prompt.split()) for prompt in engine.prompts)
    assert longest == min(512, context // 2)


def test_slow_engine_gets_a_shorter_prompt_within_its_time() -> None:
    engine = FakeEngine(prompt_s=0.1)
    found = measured(engine, seconds=60.0)
    assert found.rates[PREFILL] == pytest.approx(10, rel=0.1)
    assert max(len(prompt.split()) for prompt in engine.prompts) < 256


async def _duration(engine: Engine, seconds: float) -> tuple[Measured, float]:
    clock = asyncio.get_running_loop().time
    found = await measure(CANDIDATE, lambda: engine, SHAPES, seconds)
    return found, clock()


@pytest.mark.parametrize(
    ("engine", "failure"),
    [
        (FakeEngine(load_s=1e9), "the model did not load within 15 s"),
        (FakeEngine(hangs=0), "the first prompt was not answered within 15 s"),
        (FakeEngine(prompt_s=100.0), "the first prompt was not answered within 15 s"),
        (FakeEngine(hangs=2), "prefill did not end within 15 s"),
        (FakeEngine(step_s=1e9), "the first prompt was not answered within 15 s"),
    ],
    ids=["loads for ever", "hangs", "is slow", "hangs later", "never steps"],
)
def test_engine_is_stopped_at_the_time_limit(engine: FakeEngine, failure: str) -> None:
    found, took = run(_duration(engine, 15.0))
    assert found.failure == failure
    assert took == pytest.approx(15.0)
    assert engine.closed == 1


def test_rates_before_the_time_limit_are_kept() -> None:
    # The two first prompts, three long ones, and the first of eight streams.
    engine = FakeEngine(hangs=2 + 3 + 1 + 3)
    found = measured(engine)
    assert found.failure == "8 streams did not end within 60 s"
    assert set(found.rates) == {PREFILL, 1}


@pytest.mark.parametrize("number", [0, 2, 7])
def test_failure_of_a_job_is_the_failure_of_the_candidate(number: int) -> None:
    engine = FakeEngine(breaks=number)
    found = measured(engine)
    assert found.failure == "The worker died."
    assert engine.closed == 1


def test_model_that_does_not_load_is_a_failure() -> None:
    def open_engine() -> Engine:
        raise ModelError("m.gguf: the runtime crashes when it loads this model")

    found = run(measure(CANDIDATE, open_engine, SHAPES, 60.0))
    assert found == Measured(
        CANDIDATE, failure="m.gguf: the runtime crashes when it loads this model"
    )


def test_bug_is_not_taken_for_a_failure_of_the_engine() -> None:
    class Buggy(FakeEngine):
        async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
            raise KeyError
            yield Piece("")

    engine = Buggy()
    with pytest.raises(KeyError):
        measured(engine)
    assert engine.closed == 1


def test_progress_rises_to_less_than_one() -> None:
    seen: list[float] = []
    run(measure(CANDIDATE, FakeEngine, SHAPES, 60.0, seen.append))
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] < 1
