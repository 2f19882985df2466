from __future__ import annotations

import httpx2
import pytest

from tenuto.engine.base import Health
from tenuto.engine.echo import EchoEngine
from tests.server.test_endpoint import client_of

pytestmark = pytest.mark.anyio


class LoadingEngine(EchoEngine):
    def health(self) -> Health:
        return Health(False, "The model is loading.")


async def get(engine: EchoEngine, path: str) -> httpx2.Response:
    async with client_of(engine) as client:
        return await client.get(path)


async def test_the_server_is_alive_before_the_model_is_loaded() -> None:
    response = await get(LoadingEngine(), "/health")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_server_is_ready_once_the_model_is_loaded() -> None:
    loading = await get(LoadingEngine(), "/ready")
    assert (loading.status_code, loading.json()["detail"]) == (503, "The model is loading.")
    ready = await get(EchoEngine(), "/ready")
    assert (ready.status_code, ready.json()["model"]) == (200, "echo")
