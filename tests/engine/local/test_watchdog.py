from __future__ import annotations

import asyncio

import pytest

from tenuto.engine.local.watchdog import Watchdog

pytestmark = pytest.mark.anyio


async def test_watchdog_returns_without_a_reply() -> None:
    pings: list[int] = []
    await Watchdog(0.05).hangs(lambda: pings.append(1))
    assert len(pings) == 1


async def test_watchdog_pings_again_until_a_reply_is_missing() -> None:
    watchdog = Watchdog(0.05)
    pings: list[int] = []

    def ask() -> None:
        pings.append(1)
        if len(pings) < 4:
            asyncio.get_running_loop().call_soon(watchdog.answered)

    await watchdog.hangs(ask)
    assert len(pings) == 4


async def test_reply_to_an_earlier_ping_is_ignored() -> None:
    watchdog = Watchdog(0.05)
    watchdog.answered()
    async with asyncio.timeout(5):
        await watchdog.hangs(lambda: None)
