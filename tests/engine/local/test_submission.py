"""A job with a long prompt makes the same frame in short steps as at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenuto.core.job import Finish, Job, Sampling
from tenuto.core.refusal import Kind
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.frame_codec import FrameReader
from tenuto.engine.local.frames import Submit
from tenuto.engine.local.submission import with_texts
from tenuto.prompt.long_render import chat_steps
from tenuto.prompt.turns import raw_prompt
from tenuto.settings import LocalSettings
from tenuto.slices import finish
from tests.prompt.long_texts import LARGE, MOST_STEP_S, long, longest_step
from tests.refusals import refused

pytestmark = pytest.mark.anyio

FRAME = Submit(7, "", 5, Sampling(0.5, None, 3, 2**64 - 1, 0), None, "tenant")
TEXT = 'Ünï\0"\\😀 ' * 30_000


def test_submission_is_decoded_by_the_worker() -> None:
    prompt = long(f"\n\nHuman: {TEXT}\n\nAssistant: Sure")
    turns = finish(chat_steps(prompt)).turns

    for messages in (None, [("system", "Be brief."), *turns]):
        encoded = finish(with_texts(FRAME, prompt.whole(), messages))
        assert isinstance(encoded, tuple)
        (frame,) = FrameReader().feed(b"".join(encoded))
        assert isinstance(frame, Submit)
        crossed = [["system", "Be brief."], ["user", TEXT]]
        assert (frame.prompt, frame.messages) == (prompt.text, messages and crossed)
        assert replace(frame, prompt="", messages=None) == FRAME


def test_short_texts_are_sent_in_the_frame() -> None:
    frame = finish(with_texts(FRAME, "a", [("user", "b")]))

    assert frame == replace(FRAME, prompt="a", messages=[("user", "b")])


@pytest.mark.parametrize("name", ["one emoji among letters", "turns", "turns of one side"])
def test_no_step_blocks_the_event_loop(name: str) -> None:
    prompt = long(LARGE[name])
    turns = finish(chat_steps(prompt)).turns

    assert longest_step(with_texts(FRAME, prompt.whole(), None)) < MOST_STEP_S
    assert longest_step(with_texts(FRAME, "", turns)) < MOST_STEP_S


async def test_long_prompt_is_completed_by_a_worker() -> None:
    engine = LocalEngine(LocalSettings())
    await engine.start()
    try:
        await engine.ready()
        context = engine.capabilities.context
        # White space around a turn does not count before it is tokenised.
        prompt = long("\n\nHuman: Hi" + " " * 140_000 + "\n\nAssistant:")
        with refused(Kind.TOO_LONG) as refusal:
            async for _ in engine.generate(Job(prompt, 5)):
                pass
        assert int(refusal.value.message.split()[4]) > context
        pieces = [piece async for piece in engine.generate(Job(raw_prompt("Hi"), 1))]
        assert pieces[-1].finish in (Finish.END, Finish.LENGTH)
    finally:
        await engine.aclose()
