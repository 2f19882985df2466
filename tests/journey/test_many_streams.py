"""Many clients at once over real sockets, and what becomes of them when things break."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import CAPITAL, PATIENCE_S, RunningServer, running_server

pytestmark = pytest.mark.anyio

STREAMS = 32
STORY = {
    "model": "any",
    "prompt": "\n\nHuman: Tell me a long story about a fox.\n\nAssistant:",
    "stream": True,
}


@pytest.fixture(scope="module")
def endless(endless_model: Path) -> Iterator[RunningServer]:
    """Run a server whose completions end only at `max_tokens` or by cancellation."""
    with running_server("--model", str(endless_model)) as started:
        yield started


@asynccontextmanager
async def open_stream(
    server: RunningServer, max_tokens: int, **fields: Any
) -> AsyncGenerator[AsyncGenerator[tuple[str, dict[str, Any]]]]:
    """Send a request; yield its events, each a name and its data."""
    async with (
        httpx2.AsyncClient(timeout=PATIENCE_S) as client,
        client.stream(
            "POST",
            server.url + "/v1/complete",
            json=STORY | {"max_tokens_to_sample": max_tokens} | fields,
            headers={"anthropic-version": "2023-06-01"},
        ) as response,
    ):
        assert response.status_code == 200

        async def events() -> AsyncGenerator[tuple[str, dict[str, Any]]]:
            async for event in httpx2.EventSource(response):
                yield event.event, json.loads(event.data)

        yield events()


async def all_of(
    server: RunningServer, max_tokens: int, **fields: Any
) -> list[tuple[str, dict[str, Any]]]:
    async with open_stream(server, max_tokens, **fields) as events:
        return [event async for event in events]


def worker_of(server: RunningServer) -> int:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text()
    (worker,) = children.split()
    return int(worker)


async def test_all_streams_complete(capital_server: RunningServer) -> None:
    streams = (all_of(capital_server, 100) for _ in range(STREAMS))
    for events in await asyncio.gather(*streams):
        assert events[-1][1]["stop_reason"] == "stop_sequence"
        assert "".join(data.get("completion", "") for _, data in events) == "".join(CAPITAL)
    await asyncio.to_thread(capital_server.wait_until_idle, PATIENCE_S)


async def test_every_completion_has_its_own_token_limit(endless: RunningServer) -> None:
    answers = await asyncio.gather(*(all_of(endless, limit) for limit in (1, 3)))
    assert [events[-1][1]["stop_reason"] for events in answers] == ["max_tokens"] * 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_closed_socket_frees_its_slot_within_250_ms(
    endless: RunningServer, stream: bool
) -> None:
    async def leave() -> float:
        body = STORY | {"max_tokens_to_sample": 2000}
        request = asyncio.create_task(all_of(endless, 2000) if stream else plain(endless, body))
        async with asyncio.timeout(PATIENCE_S):
            while not await asyncio.to_thread(lambda: endless.get("/ready")["running"]):
                pass
        request.cancel()  # Which closes its socket.
        with pytest.raises(asyncio.CancelledError):
            await request
        # In a thread: the event loop is what closes the socket.
        return await asyncio.to_thread(endless.wait_until_idle, PATIENCE_S)

    # The best of a few: what else the machine does may take longer than all of this.
    assert min([await leave() for _ in range(3)]) < 0.25


async def test_disconnect_during_prefill_frees_the_slot(endless: RunningServer) -> None:
    prompt = "\n\nHuman:" + " word" * 1500 + "\n\nAssistant:"

    async def leave() -> float:
        body = STORY | {"prompt": prompt, "max_tokens_to_sample": 500}
        request = asyncio.create_task(plain(endless, body))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        # In a thread: the event loop is what closes the socket.
        return await asyncio.to_thread(endless.wait_until_idle, PATIENCE_S)

    assert min([await leave() for _ in range(3)]) < 0.25


async def test_a_killed_worker_ends_every_stream_with_an_error(endless: RunningServer) -> None:
    begun = asyncio.Semaphore(0)

    async def watch() -> list[str]:
        names = []
        async with open_stream(endless, 2000) as events:
            async for name, _ in events:
                if name == "completion" and "completion" not in names:
                    begun.release()
                names.append(name)
        return names

    streams = [asyncio.create_task(watch()) for _ in range(STREAMS)]
    async with asyncio.timeout(PATIENCE_S):
        for _ in streams:
            await begun.acquire()
        os.kill(worker_of(endless), signal.SIGKILL)
        for names in await asyncio.gather(*streams):
            assert names[-1] == "error"
        after = await all_of(endless, 8)
    assert after[-1][1]["stop_reason"] == "max_tokens"
    assert endless.get("/ready")["restarts"] == 1


async def plain(server: RunningServer, body: dict[str, Any]) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=PATIENCE_S) as client:
        return await client.post(
            server.url + "/v1/complete",
            json=body | {"stream": False},
            headers={"anthropic-version": "2023-06-01"},
        )
