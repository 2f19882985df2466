from __future__ import annotations

import asyncio

import pytest

from tenuto.engine.local.watchdog import Watchdog

pytestmark = pytest.mark.anyio


async def test_it_returns_when_no_answer_comes() -> None:
    asked: list[int] = []
    await Watchdog(0.05).hangs(lambda: asked.append(1))
    assert len(asked) == 1


async def test_a_worker_that_answers_is_asked_again_until_it_does_not() -> None:
    watchdog = Watchdog(0.05)
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        if len(asked) < 4:
            asyncio.get_running_loop().call_soon(watchdog.answered)

    await watchdog.hangs(ask)
    assert len(asked) == 4


async def test_an_answer_to_an_earlier_question_does_not_count() -> None:
    watchdog = Watchdog(0.05)
    watchdog.answered()
    async with asyncio.timeout(5):
        await watchdog.hangs(lambda: None)
