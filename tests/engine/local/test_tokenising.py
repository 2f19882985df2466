from __future__ import annotations

import select
import threading
from contextlib import closing

import pytest

from tenuto.engine.local.tokenising import Tokenised, Tokenising
from tests.conftest import PATIENCE_S


def encode(text: str) -> list[int]:
    if text == "bad":
        raise RuntimeError("cannot")
    return [*text.encode()]


def taken(tokenising: Tokenising[str], count: int) -> list[Tokenised[str]]:
    """Wait for a number of prompts, as the worker does."""
    done: list[Tokenised[str]] = []
    while len(done) < count:
        ready, _, _ = select.select([tokenising], [], [], PATIENCE_S)
        assert ready
        done += tokenising.take()
    return done


def test_tokens_are_returned_in_order_with_their_job() -> None:
    with closing(Tokenising[str](encode)) as tokenising:
        for key in range(50):
            tokenising.add(key, f"job {key}", "a" * key)
        assert taken(tokenising, 50) == [
            Tokenised(key, f"job {key}", [97] * key) for key in range(50)
        ]
        assert len(tokenising) == 0
        # The bell is silent again.
        assert select.select([tokenising], [], [], 0) == ([], [], [])


def test_failure_affects_one_prompt() -> None:
    with closing(Tokenising[str](encode)) as tokenising:
        tokenising.add(1, "a", "bad")
        tokenising.add(2, "b", "x")
        first, second = taken(tokenising, 2)
        assert isinstance(first.tokens, RuntimeError)
        assert second.tokens == [120]


@pytest.mark.parametrize("begun", [True, False])
def test_cancelled_prompt_is_not_returned(begun: bool) -> None:
    started, go = threading.Event(), threading.Event()

    def slow(text: str) -> list[int]:
        if text == "first":
            started.set()
            go.wait(PATIENCE_S)
        return [len(text)]

    with closing(Tokenising[str](slow)) as tokenising:
        tokenising.add(1, "a", "first")
        tokenising.add(2, "b", "second")
        tokenising.add(3, "c", "third")
        assert started.wait(PATIENCE_S)
        gone = 1 if begun else 2
        assert tokenising.cancel(gone)
        assert not tokenising.cancel(gone)
        go.set()
        left = [key for key in (1, 2, 3) if key != gone]
        assert [each.key for each in taken(tokenising, 2)] == left
