"""Scripted servers that the tests of upstreams share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.engine.upstream import claude
from tests.engine.upstream.scripted import ScriptedServer, scripted_server


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started


@pytest.fixture
async def backup() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started.answers(
            lambda request: claude.answer("From the backup", as_stream=request.body["stream"])
        )
