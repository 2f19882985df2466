"""Waits that a shutdown interrupts."""

from __future__ import annotations

import asyncio

import pytest

from tenuto.engine.upstream.shutdown import Shutdown

pytestmark = pytest.mark.anyio


async def test_a_cancelled_task_stays_cancelled() -> None:
    shutdown = Shutdown()

    async def wait() -> None:
        with shutdown.interruptible():
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    shutdown.begin()
    with pytest.raises(asyncio.CancelledError):
        await task
