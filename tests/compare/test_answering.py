"""The second answer to a request, within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import fields

import pytest

from tenuto.compare.answering import answer_of, copy_of
from tenuto.core.begun_text import begun_text
from tenuto.core.job import ANONYMOUS, Caller, Finish, Job, Piece, Sampling
from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import parse_prompt

pytestmark = pytest.mark.anyio

PROMPT = parse_prompt("\n\nHuman: one two three\n\nAssistant:")


class Slow(EchoEngine):
    """Engine that hangs after its first text."""

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        yield Piece("")
        yield Piece(" one", 1)
        await asyncio.Event().wait()
        yield Piece("", finish=Finish.END)


def test_copy_of_a_job_differs_in_its_caller_and_log_probabilities_alone() -> None:
    different = Job(
        PROMPT,
        *(7, Sampling(0.5, seed=3, logprobs=2), "model", ("stop",), False, "user"),
        *(Caller("id", "key"), False, True, True, begun_text("begun", (1,))),
    )
    for each in fields(Job):
        if each.name not in ("prompt", "max_tokens", "trace", "span", "spoiling"):
            assert getattr(different, each.name) != each.default, each.name

    copy = copy_of(different)

    same = [each.name for each in fields(Job) if each.name not in ("caller", "sampling")]
    assert [getattr(copy, name) for name in same] == [getattr(different, name) for name in same]
    assert copy.caller is ANONYMOUS
    assert copy.sampling == Sampling(0.5, seed=3)


async def test_answer_that_takes_too_long_is_a_timeout_with_the_text_so_far() -> None:
    answer = await answer_of(Slow(), Job(PROMPT, 9), (), 0.05, None)
    assert (answer.error, answer.end, answer.text) == ("timeout", "", " one")
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_cancelled_answer_is_cancelled() -> None:
    task = asyncio.create_task(answer_of(Slow(), Job(PROMPT, 9), (), 60, None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_answer_within_the_time_is_not_cancelled_later() -> None:
    answer = await answer_of(EchoEngine(), Job(PROMPT, 9), (), 0.2, None)
    await asyncio.sleep(0.3)
    assert (answer.end, answer.text) == ("turn", " one two three")
