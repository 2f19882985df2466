from __future__ import annotations

import logging
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from tenuto.engine.base import Health
from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app
from tenuto.settings import ApiSettings, Settings
from tenuto.wire.names import TEXT_MODELS
from tests.server.test_endpoint import BODY, assert_error, client_of

pytestmark = pytest.mark.anyio

STRICT = Settings(api=ApiSettings(strict_models=True))
ALL = ["echo", *TEXT_MODELS]


class LoadingEngine(EchoEngine):
    def health(self) -> Health:
        return Health(False, "The model is loading.")


async def get(
    path: str, settings: Settings = STRICT, engine: EchoEngine | None = None
) -> httpx2.Response:
    async with client_of(engine or EchoEngine(), settings) as client:
        return await client.get(path)


async def complete(settings: Settings, headers: dict[str, str], **fields: Any) -> httpx2.Response:
    async with client_of(EchoEngine(), settings) as client:
        return await client.post("/v1/complete", json=BODY | fields, headers=headers)


async def test_serving_model_is_listed_first() -> None:
    page = (await get("/v1/models")).json()
    assert [model["id"] for model in page["data"]] == ALL[:20]
    assert page["data"][0] == {
        "type": "model",
        "id": "echo",
        "display_name": "echo",
        "created_at": "1970-01-01T00:00:00Z",
    }
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, "echo", ALL[19])


@pytest.mark.parametrize("limit", [1, 7, 23, 1000])
async def test_paging_in_both_directions_returns_every_model_once(limit: int) -> None:
    for parameter, edge in (("after_id", "last_id"), ("before_id", "first_id")):
        seen: list[str] = []
        query = ""
        while True:
            page = (await get(f"/v1/models?limit={limit}{query}")).json()
            names = [model["id"] for model in page["data"]]
            if parameter == "before_id" and not query:
                # Backwards one begins at the end.
                query = f"&before_id={ALL[-1]}"
                seen = [ALL[-1]]
                continue
            seen = names + seen if parameter == "before_id" else seen + names
            if not page["has_more"]:
                break
            query = f"&{parameter}={page[edge]}"
        assert seen == ALL


async def test_the_official_client_pages_through_the_list() -> None:
    app = create_app(Settings(), EchoEngine())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    async with anthropic.AsyncAnthropic(
        api_key="any", base_url="http://localhost", http_client=http
    ) as client:
        assert [model.id async for model in client.models.list(limit=5)] == ALL
        assert (await client.models.retrieve("claude-2.1")).id == "claude-2.1"


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "after_id=no"])
async def test_invalid_page_is_rejected_by_its_field(query: str) -> None:
    response = await get(f"/v1/models?{query}")
    assert_error(response, 400, "invalid_request_error", query.split("=")[0])


async def test_strict_models_accepts_the_listed_models() -> None:
    for name in ("echo", "claude-2.1", "claude-instant-v1"):
        assert (await complete(STRICT, {}, model=name)).status_code == 200
        assert (await get(f"/v1/models/{name}")).json()["id"] == name
    assert_error(
        await complete(STRICT, {}, model="claude-9"), 404, "not_found_error", "model: claude-9"
    )
    assert_error(await get("/v1/models/claude-9"), 404, "not_found_error", "model: claude-9")
    assert_error(
        await complete(STRICT, {}, model="claude-3-haiku-20240307"),
        400,
        "invalid_request_error",
        '"claude-3-haiku-20240307" is not supported on this API. Please use the Messages API',
    )


async def test_unknown_model_is_rejected_before_the_prompt_is_parsed() -> None:
    async with client_of(EchoEngine(), STRICT) as client:
        body = {"model": "claude-9", "prompt": "no turns", "max_tokens_to_sample": 1}
        response = await client.post("/v1/complete", json=body)
    assert_error(response, 404, "not_found_error", "model: claude-9")


@pytest.mark.parametrize("name", ["claude-9", "claude-opus-5-5", "gpt-2", "ü/x"])
async def test_any_model_is_accepted_by_default(name: str) -> None:
    response = await complete(Settings(), {}, model=name)
    assert (response.status_code, response.json()["model"]) == (200, "echo")


@pytest.mark.parametrize("betas", ["string, other", "", "pdfs-2024-09-25"])
async def test_every_beta_name_is_accepted(betas: str) -> None:
    for settings in (Settings(), STRICT):
        response = await complete(settings, {"anthropic-beta": betas})
        assert response.status_code == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_response_for_a_retired_model_has_a_warning(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(EchoEngine()) as client:
        with caplog.at_level(logging.WARNING, "tenuto"):
            answers = [
                await client.post(
                    "/v1/complete", json=BODY | {"model": "claude-2", "stream": stream}
                )
                for _ in range(3)
            ]
        other = await client.post("/v1/complete", json=BODY | {"model": "claude-haiku-4-5"})
    text = "claude-2 was retired on July 21, 2025; echo answers instead"
    assert [answer.headers["warning"] for answer in answers] == [f'299 - "{text}"'] * 3
    assert [record.getMessage() for record in caplog.records] == [text]
    assert "warning" not in other.headers


async def test_empty_model_name_is_not_found() -> None:
    assert_error(await get("/v1/models/", Settings()), 404, "not_found_error", "model: ")


async def test_the_server_is_alive_before_the_model_is_loaded() -> None:
    response = await get("/health", engine=LoadingEngine())
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_server_is_ready_once_the_model_is_loaded() -> None:
    loading = await get("/ready", engine=LoadingEngine())
    assert (loading.status_code, loading.json()["detail"]) == (503, "The model is loading.")
    ready = await get("/ready")
    assert (ready.status_code, ready.json()["model"]) == (200, "echo")
