"""Awaits of many tasks that end at one moment."""

from __future__ import annotations

import asyncio

import pytest

from tenuto.interruption import Interruption

pytestmark = pytest.mark.anyio


class Ended(Exception):
    """The error of the blocks."""


async def forever() -> None:
    await asyncio.Event().wait()


async def wait(interruption: Interruption) -> None:
    with interruption.interruptible():
        await forever()


async def test_interruption_ends_running_blocks_and_rejects_later_ones() -> None:
    interruption = Interruption(Ended)
    tasks = [asyncio.create_task(wait(interruption)) for _ in range(3)]
    await asyncio.sleep(0)
    assert interruption.running == 3
    interruption.begin()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Ended] * 3
    assert interruption.running == 0
    with pytest.raises(Ended):
        await wait(interruption)


async def test_task_continues_after_its_interrupted_block() -> None:
    interruption = Interruption(Ended)

    async def survive() -> str:
        with pytest.raises(Ended):
            await wait(interruption)
        await asyncio.sleep(0)
        return "on"

    task = asyncio.create_task(survive())
    await asyncio.sleep(0)
    interruption.begin()
    interruption.begin()  # Cancels nothing a second time.
    assert await task == "on"
    assert task.cancelling() == 0


async def test_a_cancelled_task_stays_cancelled() -> None:
    interruption = Interruption(Ended)
    task = asyncio.create_task(wait(interruption))
    await asyncio.sleep(0)
    task.cancel()
    interruption.begin()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_own_error_of_a_block_is_raised() -> None:
    interruption = Interruption(Ended)

    async def fail() -> None:
        with interruption.interruptible():
            try:
                await forever()
            finally:
                raise LookupError

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    interruption.begin()
    with pytest.raises(LookupError):
        await task
    assert task.cancelling() == 0


async def test_a_block_that_has_ended_is_not_interrupted() -> None:
    interruption = Interruption(Ended)
    with interruption.interruptible():
        pass
    interruption.begin()
    await asyncio.sleep(0)
    assert interruption.begun
