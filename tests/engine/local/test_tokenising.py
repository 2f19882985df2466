from __future__ import annotations

import select
import threading
from contextlib import closing

import pytest

from tenuto.core.job import Sampling
from tenuto.engine.local.frames import Submit
from tenuto.engine.local.special import RenderedPrompt
from tenuto.engine.local.tokenising import Tokenised, Tokenising
from tests.conftest import PATIENCE_S


def job(key: int) -> Submit:
    return Submit(key, "", 1, Sampling())


def encode(prompt: RenderedPrompt) -> list[int]:
    if prompt.text == "bad":
        raise RuntimeError("cannot")
    return [*prompt.text.encode()]


def taken(tokenising: Tokenising, count: int) -> list[Tokenised]:
    """Wait for a number of prompts, as the worker does."""
    done: list[Tokenised] = []
    while len(done) < count:
        ready, _, _ = select.select([tokenising], [], [], PATIENCE_S)
        assert ready
        done += tokenising.take()
    return done


def test_tokens_are_returned_in_order_with_their_job() -> None:
    with closing(Tokenising(encode)) as tokenising:
        for key in range(50):
            tokenising.add(job(key), RenderedPrompt("a" * key))
        assert taken(tokenising, 50) == [(job(key), [97] * key) for key in range(50)]
        assert len(tokenising) == 0
        # The bell falls silent: a ring may follow tokens that were taken before it, but only once.
        rings = 0
        while select.select([tokenising], [], [], 0.01)[0]:
            assert tokenising.take() == []
            rings += 1
            assert rings <= 50


def test_failure_affects_one_prompt() -> None:
    with closing(Tokenising(encode)) as tokenising:
        tokenising.add(job(1), RenderedPrompt("bad"))
        tokenising.add(job(2), RenderedPrompt("x"))
        (_, error), (_, tokens) = taken(tokenising, 2)
        assert isinstance(error, RuntimeError)
        assert tokens == [120]


@pytest.mark.parametrize("begun", [True, False])
def test_cancelled_prompt_is_not_returned(begun: bool) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(prompt: RenderedPrompt) -> list[int]:
        if prompt.text == "first":
            started.set()
            go.wait(PATIENCE_S)
        return [len(prompt.text)]

    with closing(Tokenising(slow)) as tokenising:
        for key, text in enumerate(("first", "second", "third"), 1):
            tokenising.add(job(key), RenderedPrompt(text))
        assert started.wait(PATIENCE_S)
        gone = 1 if begun else 2
        assert tokenising.cancel(gone)
        assert not tokenising.cancel(gone)
        go.set()
        left = [key for key in (1, 2, 3) if key != gone]
        assert [each.key for each, _ in taken(tokenising, 2)] == left
