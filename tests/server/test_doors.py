"""Names, origins, limits: what keeps strangers and accidents out."""

from __future__ import annotations

import pytest

from tenuto.engine.echo import EchoEngine
from tenuto.server.listening import CannotListen, listen
from tenuto.settings import ApiSettings, LimitSettings, ServerSettings, Settings
from tests.server.test_endpoint import BODY, assert_error, client_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "LOCALHOST"]
)
async def test_host_header_of_this_machine_is_accepted(host: str) -> None:
    async with client_of(EchoEngine()) as client:
        response = await client.post("/v1/complete", json=BODY, headers={"host": host})
    assert response.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io:80"])
async def test_other_host_header_is_rejected(host: str) -> None:
    async with client_of(EchoEngine()) as client:
        response = await client.post("/v1/complete", json=BODY, headers={"host": host})
    assert_error(response, 403, "permission_error", "allowed_hosts")


@pytest.mark.parametrize(
    "server",
    [
        ServerSettings(allowed_hosts=("llm.internal",)),
        ServerSettings(host="0.0.0.0", api_keys=("k",)),
    ],
)
async def test_allowed_host_header_is_accepted(server: ServerSettings) -> None:
    async with client_of(EchoEngine(), Settings(server=server)) as client:
        headers = {"host": "llm.internal:8000", "x-api-key": "k"}
        response = await client.post("/v1/complete", json=BODY, headers=headers)
    assert response.status_code == 200


async def test_other_origins_are_allowed_only_when_configured() -> None:
    headers = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with client_of(EchoEngine()) as client:
        closed = await client.options("/v1/complete", headers=headers)
    assert "access-control-allow-origin" not in closed.headers
    server = ServerSettings(cors_origins=("https://app.example",))
    async with client_of(EchoEngine(), Settings(server=server)) as client:
        opened = await client.options("/v1/complete", headers=headers)
    assert opened.headers["access-control-allow-origin"] == "https://app.example"


async def test_a_public_address_needs_keys() -> None:
    with pytest.raises(CannotListen, match="--insecure"):
        listen(ServerSettings(host="0.0.0.0", port=0))
    listen(ServerSettings(host="0.0.0.0", port=0, api_keys=("k",))).close()
    listen(ServerSettings(host="0.0.0.0", port=0), insecure=True).close()
    listen(ServerSettings(host="localhost", port=0)).close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stop_sequences": ["a"] * 4}, "stop_sequences: List should have at most 3 items, not 4"),
        ({"stop_sequences": ["a", "b" * 6]}, "stop_sequences.1: String should have at most 5"),
        (
            {"stop_sequences": ["abcd", "efgh"]},
            "stop_sequences: All together should have at most 7",
        ),
        ({"metadata": {"user_id": [[[["deep"]]]]}}, "nested more than 4 levels"),
    ],
)
async def test_each_limit_is_a_setting(change: dict[str, object], message: str) -> None:
    limits = LimitSettings(
        max_stop_sequences=3,
        max_stop_sequence_chars=5,
        max_stop_sequences_total_chars=7,
        max_json_depth=4,
    )
    async with client_of(EchoEngine(), Settings(limits=limits)) as client:
        response = await client.post("/v1/complete", json=BODY | change)
    assert_error(response, 400, "invalid_request_error", message)


async def test_lenient_prompt_is_completed_unchanged() -> None:
    settings = Settings(api=ApiSettings(lenient_prompts=True))
    async with client_of(EchoEngine(), settings) as client:
        response = await client.post("/v1/complete", json=BODY | {"prompt": "Once upon"})
    assert response.json()["completion"] == "Once upon"


LONG = "x" * 20_000


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", f"/v1/models/{LONG}", {}),
        ("GET", f"/v1/models?after_id={LONG}", {}),
        ("GET", f"/{LONG}", {}),
        ("POST", f"/v1/models/{LONG}", {}),
        ("POST", "/v1/complete", {"anthropic-version": LONG}),
        ("POST", "/v1/complete", {"host": LONG}),
    ],
)
async def test_quoted_parts_of_a_request_are_truncated(
    method: str, path: str, headers: dict[str, str]
) -> None:
    settings = Settings(api=ApiSettings(strict_models=True))
    async with client_of(EchoEngine(), settings) as client:
        response = await client.request(method, path, headers=headers)
    assert 400 <= response.status_code < 500
    assert len(response.content) < 1000


async def test_field_name_with_a_lone_surrogate_is_rejected() -> None:
    async with client_of(EchoEngine()) as client:
        body = rb'{"model": "m", "prompt": "p", "max_tokens_to_sample": 1, "\ud800": 1}'
        response = await client.post("/v1/complete", content=body)
    assert_error(response, 400, "invalid_request_error", "Extra inputs are not permitted")


async def test_overlong_model_name_is_not_found() -> None:
    async with client_of(EchoEngine()) as client:
        assert (await client.get("/v1/models/" + "m" * 256)).status_code == 200
        response = await client.get("/v1/models/" + "m" * 257)
    assert_error(response, 404, "not_found_error", "model: mmm")
