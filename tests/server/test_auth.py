from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tenuto.engine.echo import EchoEngine
from tenuto.server.auth import hash_key
from tenuto.settings import ServerSettings, Settings
from tests.server.test_endpoint import BODY, assert_error, client_of

pytestmark = pytest.mark.anyio

KEYED = Settings(server=ServerSettings(api_keys=(hash_key("sk-hashed"), "sk-plain")))


async def ask(headers: dict[str, Any]) -> httpx2.Response:
    async with client_of(EchoEngine(), KEYED) as client:
        return await client.post("/v1/complete", json=BODY, headers=headers)


@pytest.mark.parametrize("key", ["sk-hashed", "sk-plain"])
@pytest.mark.parametrize("header", ["x-api-key", "X-Api-Key", "authorization", "Authorization"])
async def test_key_is_accepted_in_either_header(header: str, key: str) -> None:
    value = f"Bearer {key}" if header.lower() == "authorization" else key
    assert (await ask({header: value})).status_code == 200


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "x-api-key header is required"),
        ({"authorization": "Basic c2stcGxhaW46"}, "x-api-key header is required"),
        ({"x-api-key": "sk-wrong"}, "invalid x-api-key"),
        ({"x-api-key": ""}, "invalid x-api-key"),
        ({"x-api-key": hash_key("sk-hashed")}, "invalid x-api-key"),
        ({"x-api-key": "' OR 1=1 --"}, "invalid x-api-key"),
        ({"x-api-key": b"\xff\xfe"}, "invalid x-api-key"),
        ({"authorization": "Bearer sk-wrong"}, "Invalid bearer token"),
        ({"authorization": "Bearer"}, "Invalid bearer token"),
        ({"x-api-key": "sk-wrong", "authorization": "Bearer sk-plain"}, "invalid x-api-key"),
    ],
)
async def test_missing_or_wrong_key_is_rejected(headers: dict[str, Any], message: str) -> None:
    assert_error(await ask(headers), 401, "authentication_error", message)


async def test_key_is_checked_before_version_and_body() -> None:
    async with client_of(EchoEngine(), KEYED) as client:
        del client.headers["anthropic-version"]
        response = await client.post("/v1/complete", content=b"{")
    assert response.status_code == 401


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_health_routes_need_no_key(path: str) -> None:
    async with client_of(EchoEngine(), KEYED) as client:
        assert (await client.get(path)).status_code == 200
