"""Two API keys through HTTP: callers of the engine, and the usage of each."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import httpx2
import pytest

from benchmarks import tenants
from tenuto.core.job import Finish, Piece
from tenuto.engine.local.engine import LocalEngine
from tenuto.server.app import create_app
from tenuto.server.auth import hash_key
from tenuto.settings import ApiSettings, LocalSettings, ServerSettings, Settings
from tests.server.test_endpoint import BODY, HEADERS, ScriptedEngine, client_of, events_of

pytestmark = pytest.mark.anyio

KEYED = Settings(
    server=ServerSettings(api_keys=(hash_key("sk-one"), hash_key("sk-two"))),
    api=ApiSettings(extensions=True),
)
ONE, TWO = {"x-api-key": "sk-one"}, {"x-api-key": "sk-two"}
TWO_AS_BEARER = {"authorization": "Bearer sk-two"}


async def test_key_is_the_same_caller_in_either_header() -> None:
    engine = ScriptedEngine(Piece("", finish=Finish.END))
    async with client_of(engine, KEYED) as client:
        for headers in (ONE, TWO, TWO_AS_BEARER):
            assert (await client.post("/v1/complete", json=BODY, headers=headers)).is_success
    assert [job.caller.key for job in engine.jobs] == ["sk-one", "sk-two", "sk-two"]


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    pytest.importorskip("xllamacpp")
    local = LocalSettings(runtime="llamacpp", prefix_cache="per_key", threads=1, max_running=4)
    engine = LocalEngine(local)
    await engine.start()
    await engine.ready()
    transport = httpx2.ASGITransport(create_app(KEYED, engine))
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://localhost", headers=HEADERS
    ) as client:
        yield client
    await engine.aclose()


async def test_cached_tokens_are_those_of_the_same_key(client: httpx2.AsyncClient) -> None:
    async def cached(prompt: str, key: dict[str, str], *, stream: bool = False) -> int:
        body = {**BODY, "prompt": prompt, "max_tokens_to_sample": 1, "stream": stream}
        response = await client.post("/v1/complete", json=body, headers=key)
        assert response.is_success
        if stream:
            _, last = events_of(response.text)[-1]
            return int(last["usage"]["cached_tokens"])
        return int(response.headers["tenuto-cached-tokens"])

    chooser = random.Random(5)
    for _ in range(3):
        prompt, other = tenants.text(chooser), tenants.text(chooser)
        # Few tokens: what all prompts of a key begin with.
        assert max(await asyncio.gather(cached(prompt, ONE), cached(other, TWO))) < 30
        assert await cached(prompt, TWO, stream=True) < 30
        assert await cached(other, ONE) < 30
        found = await asyncio.gather(
            cached(prompt, ONE, stream=True), cached(prompt, TWO_AS_BEARER), cached(other, ONE)
        )
        assert min(found) > 90
