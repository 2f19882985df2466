"""Errors of upstreams: their attribution, failover, and the messages for the caller."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenuto.engine.upstream.error_responses import error_of_response
from tenuto.engine.upstream.errors import ErrorPolicy
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.engine.upstream.words import presentable, words_in
from tenuto.wire.errors import status_of
from tests.engine.upstream import claude
from tests.engine.upstream.callers import caller_of
from tests.engine.upstream.scripted import Script, ScriptedServer, stream, whole

pytestmark = pytest.mark.anyio

both_ways = pytest.mark.parametrize("as_stream", [False, True], ids=["plain", "streamed"])
SECRETS = ("org-AbC123", "Acme Corp", "sk-ours-12345", "10.1.2.3", "billing", "credit", "balance")
BILLING = "Your credit balance is too low. Go to billing. org-AbC123"


def openai_error(status: int, message: str, **fields: Any) -> Script:
    return whole({"error": {"message": message} | fields}, status)


OURS_TO_MEND: dict[str, Script] = {
    "401": claude.error(401, "authentication_error", "invalid x-api-key sk-ours-12345"),
    "403": claude.error(403, "permission_error", "organization Acme Corp may not"),
    "402": claude.error(402, "billing_error", BILLING),
    "400 about money": claude.error(400, "invalid_request_error", BILLING),
    "429 about money": openai_error(429, BILLING, code="insufficient_quota"),
    "404 model": claude.error(404, "not_found_error", "model: gone"),
    "400 model": openai_error(400, "The model `gone` does not exist", code="model_not_found"),
    "404 path": whole({"detail": "Not Found"}, 404),
    "404 page": whole(b"<html>nginx</html>", 404),
    "405": whole(b"", 405),
    "410": whole(b"", 410),
    "301": whole(b"", 301, location="https://10.1.2.3/v1/messages?secret=hunter2"),
    "307": whole(b"", 307, location="https://10.1.2.3/v1/messages"),
    "308": whole(b"", 308, location="//10.1.2.3"),
    "304": whole(b"", 304),
    "200 with 402": whole({"error": {"message": BILLING, "code": 402}}),
    "200 with 401": whole({"error": {"message": "no", "code": "401"}}),
    "a stream with 401": stream(claude.error_event("authentication_error", "no")),
}


@both_ways
@pytest.mark.parametrize("name", OURS_TO_MEND)
async def test_wrong_upstream_settings_fail_over_to_the_next_upstream(
    server: ScriptedServer,
    backup: ScriptedServer,
    name: str,
    as_stream: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.answers(OURS_TO_MEND[name])
    one = MessagesUpstream(
        base_url=server.url, model="gone", api_key="sk-ours-12345", breaker_failures=2
    )
    two = MessagesUpstream(base_url=backup.url, model="claude-haiku-4-5")
    async with caller_of({"a": one, "b": two}) as caller:
        for _ in range(3):
            seen = await caller.complete(stream=as_stream)
            assert (seen.status, seen.text) == (200, " From the backup")
            assert seen.headers["tenuto-upstream"] == "b"
            assert "b answers instead of a (" in seen.headers["warning"]
            shown = str(seen.headers) + caplog.text.replace("redirect to 10.1.2.3", "")
            assert not [secret for secret in (*SECRETS, "hunter2") if secret in shown]
        # It is asked once each time, and left alone after two failures.
        assert len(server.requests) == 2
    if name in ("301", "307", "308"):
        assert "a redirect to 10.1.2.3" in caplog.text


@both_ways
@pytest.mark.parametrize("name", OURS_TO_MEND)
async def test_wrong_settings_of_the_only_upstream_are_a_server_error(
    server: ScriptedServer, name: str, as_stream: bool
) -> None:
    server.answers(OURS_TO_MEND[name])
    one = MessagesUpstream(base_url=server.url, model="gone", api_key="sk-ours-12345")
    async with caller_of({"a": one}) as caller:
        seen = await caller.complete(stream=as_stream)
    assert (seen.status, seen.final["error"]["type"]) == (500, "api_error")
    assert "this server's" in seen.final["error"]["message"]
    assert not [secret for secret in SECRETS if secret in str(seen.final)]
    assert len(server.requests) == 1


@both_ways
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_wrong_callers_key_is_a_client_error(
    server: ScriptedServer, backup: ScriptedServer, status: int, as_stream: bool
) -> None:
    server.answers(claude.error(status, "any", "Your key is wrong"))
    one = MessagesUpstream(base_url=server.url, forward_key=True, breaker_failures=1)
    two = MessagesUpstream(base_url=backup.url, api_key="sk-ours-12345")
    async with caller_of({"a": one, "b": two}) as caller:
        for _ in range(2):
            # The next server would answer, with the server's own key.
            seen = await caller.complete(key="sk-theirs", stream=as_stream)
            assert (seen.status, seen.final["error"]["message"]) == (status, "Your key is wrong")
        # One caller cannot shut the server out for all others.
        assert len(server.requests) == 2
        assert backup.requests == []


async def test_callers_key_invalid_in_a_header_is_rejected(
    server: ScriptedServer,
) -> None:
    async with caller_of({"a": MessagesUpstream(base_url=server.url, forward_key=True)}) as caller:
        response = await caller.client.post(
            "/v1/complete",
            json={"model": "m", "prompt": "\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 5},
            headers={b"x-api-key": b"sk-\xe9"},
        )
    assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")
    assert "x-api-key" in response.json()["error"]["message"]
    assert server.requests == []


@both_ways
async def test_unknown_model_of_the_caller_is_a_client_error(
    server: ScriptedServer, backup: ScriptedServer, as_stream: bool
) -> None:
    server.answers(claude.error(404, "not_found_error", "model: bogus"))
    one = MessagesUpstream(base_url=server.url, breaker_failures=1)
    async with caller_of({"a": one}) as caller:
        for _ in range(2):
            seen = await caller.complete(model="bogus", stream=as_stream)
            assert (seen.status, seen.final["error"]["message"]) == (404, "model: bogus")
    async with caller_of({"a": one, "b": MessagesUpstream(base_url=backup.url)}) as caller:
        seen = await caller.complete(model="bogus", stream=as_stream)
        assert (seen.status, seen.headers["tenuto-upstream"]) == (200, "b")


@both_ways
@pytest.mark.parametrize("kind", [MessagesUpstream, OpenAIUpstream, TenutoUpstream])
async def test_error_message_about_the_request_is_one_redacted_line(
    server: ScriptedServer, kind: Any, as_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    words = (
        "temperature:\x00 must be at most 2\r\nat https://10.1.2.3/x (org-AbC123, "
        "organization Acme Corp, key sk-ours-12345, host gpu-7.internal:8001, /home/op/app.py) "
    ) + "very long " * 500
    server.answers(whole({"error": {"message": words}}, 400))
    async with caller_of({"a": kind(base_url=server.url, api_key="sk-ours-12345")}) as caller:
        seen = await caller.complete(stream=as_stream)
    message = seen.final["error"]["message"]
    assert seen.status == 400
    assert message.startswith("temperature: must be at most 2 at …")
    assert len(message) <= 500
    assert message.isprintable()
    hidden = (*SECRETS, "gpu-7", "/home")
    assert not [secret for secret in hidden if secret in message + caplog.text]
    assert "temperature" not in caplog.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({"error": "too long"}, "too long"),
        ({"message": "too long"}, "too long"),
        ({"detail": "too long"}, "too long"),
        ({"detail": [{"loc": ["body", "top_p"], "msg": "too long"}]}, "top_p: too long"),
        ({"errors": [{"message": "too long"}]}, "too long"),
        ([{"error": {"message": "too long"}}], "too long"),
        ({"error": {"error": {"message": "too long"}}}, "too long"),
        ({"error": {"message": '{"error": {"message": "too long"}}'}}, "too long"),
        ({"error": {"message": None}, "message": "too long"}, "too long"),
        ({"error": None}, None),
        ({"error": {"message": ["", {}]}}, None),
        (5, None),
        ({"error": {"error": {"error": {"error": {"error": {"error": {"error": "deep"}}}}}}}, None),
    ],
)
def test_error_message_is_found_in_any_body(body: object, words: str | None) -> None:
    assert words_in(body) == words
    shown = str(error_of_response(400, json.dumps(body).encode()))
    assert shown == (words or "The upstream responded with status 400.")


@pytest.mark.parametrize(
    "body", [b"", b"<html>x</html>", b"\xff\xfe", b"[" * 99_999, b'"x"' * 9, b"{" * 9]
)
def test_every_status_maps_to_an_error(body: bytes) -> None:
    for status in range(300, 600):
        error = error_of_response(status, body)
        assert 400 <= status_of(error.kind) < 600
        assert status_of(error.kind) >= 500 or status in (400, 409, 413, 422, 429)
        assert error.fault.moves_on == (status not in (400, 409, 413, 422))


def test_harmless_error_messages_are_kept() -> None:
    for words in (
        "max_tokens: 10000 > 4096, which is the maximum allowed number of output tokens",
        "`temperature` and `top_p` cannot both be specified for this model.",
        "Input should be a valid list at messages.0.content",
        "prompt is too long: 5000 tokens > 2048 maximum",
        "stop: each of 3 items needs 1/2 of it; see the docs.",
    ):
        assert presentable(words) == words


def test_operator_secrets_are_redacted() -> None:
    policy = ErrorPolicy(hidden=("my.host", "pw"))
    body = json.dumps({"error": {"message": "my.host said pw to [fe80::1]:80 or a@b.example"}})
    assert str(error_of_response(400, body.encode(), policy=policy)) == "… said … to … or …"
