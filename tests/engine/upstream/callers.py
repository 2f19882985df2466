"""A client of a Tenuto whose upstreams are scripted servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tenuto.engine import registry
from tenuto.engine.base import Engine
from tenuto.engine.upstream.route import RouteSettings
from tenuto.server.app import create_app, recorder_of
from tenuto.server.tracing import RequestTracing
from tenuto.settings import EngineSettings, Settings
from tenuto.settings.upstreams import Upstream

HI = "\n\nHuman: Hi\n\nAssistant:"


@dataclass
class Seen:
    """A response as the caller gets it, plain or streamed."""

    status: int
    headers: Mapping[str, str]
    text: str
    final: dict[str, Any]
    """The body, or the data of a stream's last event."""


def seen(response: httpx2.Response) -> Seen:
    """Read a response, plain or streamed."""
    if response.headers["content-type"].startswith("application/json"):
        whole = response.json()
        text = whole.get("completion", "")
        return Seen(response.status_code, response.headers, text, whole)
    events = [
        json.loads(block.partition("data: ")[2])
        for block in response.text.split("\n\n")
        if "data: " in block
    ]
    text = "".join(event.get("completion", "") for event in events)
    return Seen(response.status_code, response.headers, text, events[-1])


@dataclass
class Caller:
    """A client and the engine of its server."""

    client: httpx2.AsyncClient
    engine: Engine

    async def complete(self, prompt: str = HI, *, key: str = "", **fields: Any) -> Seen:
        body = {"model": "claude-2.1", "prompt": prompt, "max_tokens_to_sample": 50} | fields
        headers = {"x-api-key": key} if key else {}
        response = await self.client.post("/v1/complete", json=body, headers=headers)
        return seen(response)


@asynccontextmanager
async def caller_of(
    upstreams: Mapping[str, Upstream],
    *routes: RouteSettings,
    tracing: RequestTracing | None = None,
) -> AsyncGenerator[Caller, None]:
    """Run Tenuto with these upstreams, and a client. No task may be left over."""
    before = asyncio.all_tasks()
    settings = Settings(engine=EngineSettings("routes", upstreams=upstreams, routes=routes))
    engine = registry.create(settings.engine)
    app = create_app(settings, engine, recorder=recorder_of(settings, tracing))
    transport = httpx2.ASGITransport(app)
    headers = {"anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=headers
    ) as client:
        try:
            yield Caller(client, engine)
        finally:
            await engine.aclose()
            async with asyncio.timeout(5):
                while left := {task for task in asyncio.all_tasks() - before if _counts(task)}:
                    await asyncio.wait(left)


def _counts(task: asyncio.Task[object]) -> bool:
    """Whether a task is neither the test's own nor that of the runner of fixtures."""
    return task is not asyncio.current_task() and "TestRunner" not in repr(task.get_coro())
