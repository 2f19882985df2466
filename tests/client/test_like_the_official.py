"""Programs written for `anthropic==0.125.0`, run on both libraries: only the import differs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client.libraries import (
    ASK,
    DUALS,
    LAST,
    LIBRARIES,
    PING,
    PROMPT,
    WHOLE,
    Dual,
    Library,
    event,
    piece,
)
from tests.conftest import CAPITAL, RunningServer

pytestmark = pytest.mark.anyio

STREAM = (PING, piece(" Hel"), piece("lo!"), event("new_thing", {}), LAST)
FIELDS: dict[str, Any] = {
    "stop_sequences": ["\n\nHuman:", "END"],
    "temperature": 0.5,
    "top_k": 5,
    "top_p": 0.7,
    "metadata": {"user_id": "13803d75-b4b5-4c3e-b2a2-6f21399b021b"},
}


@pytest.fixture(params=LIBRARIES, ids=repr)
def library(request: pytest.FixtureRequest) -> Library:
    chosen: Library = request.param
    return chosen


@pytest.fixture(params=DUALS, ids=repr)
def dual(request: pytest.FixtureRequest) -> Dual:
    chosen: Dual = request.param
    return chosen


class Recorder:
    """Handler that returns its responses in turn and records the requests."""

    def __init__(self, *answers: Any) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)

    def __call__(self, request: Any) -> Any:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def headers(self) -> Any:
        return self.requests[-1].headers

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)


async def test_completion_has_every_field(dual: Dual) -> None:
    client = dual.client(Recorder(dual.library.answer(WHOLE | {"new": 1})))
    completion = await dual.create(client)
    assert completion.completion == " Hello!"
    assert completion.stop_reason == "stop_sequence"
    assert (completion.id, completion.model, completion.type) == (
        "compl_1",
        "tenuto-mini",
        "completion",
    )
    assert (completion.stop, completion.log_id, completion.new) == ("\n\nHuman:", "compl_1", 1)
    assert completion._request_id == "req_1"
    assert completion.model_dump() == completion.to_dict() == WHOLE | {"new": 1}
    assert json.loads(completion.to_json()) == WHOLE | {"new": 1}
    assert str(completion).startswith("Completion(id='compl_1', completion=' Hello!'")


async def test_completion_without_newer_fields_is_parsed(dual: Dual) -> None:
    old = {"completion": " Hi", "stop_reason": "max_tokens", "model": "claude-v1", "stop": None}
    client = dual.client(Recorder(dual.library.answer(old)))
    completion = await dual.create(client)
    assert (completion.completion, completion.stop_reason) == (" Hi", "max_tokens")
    assert completion.to_dict() == old


async def test_request_has_every_field_and_header(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE))
    await dual.create(dual.client(server), **FIELDS)
    assert server.body == ASK | FIELDS
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("POST", "http://api.test/v1/complete")
    assert server.headers["x-api-key"] == "sk-test"
    assert server.headers["anthropic-version"] == "2023-06-01"
    assert server.headers["content-type"] == "application/json"
    assert server.headers["accept"] == "application/json"
    assert "authorization" not in server.headers


async def test_omitted_fields_are_not_sent(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE))
    not_given, omit = dual.library.module.NOT_GIVEN, dual.library.module.omit
    await dual.create(dual.client(server), temperature=not_given, top_k=omit, stream=not_given)
    assert server.body == ASK
    await dual.create(dual.client(server), stream=False, metadata=None)
    assert server.body == ASK | {"stream": False, "metadata": None}


async def test_extra_headers_query_and_body_are_sent(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE))
    client = dual.client(server, default_headers={"X-Team": "a"}, default_query={"tenant": "t"})
    await dual.create(
        client,
        betas=["one-2024-01-01", "two-2024-01-01"],
        extra_headers={"X-Team": "b", "anthropic-version": "2023-01-01"},
        extra_query={"trace": "yes"},
        extra_body={"temperature": 0.1, "seed": 7},
        temperature=0.9,
    )
    assert server.headers["anthropic-beta"] == "one-2024-01-01,two-2024-01-01"
    assert server.headers["x-team"] == "b"
    assert server.headers["anthropic-version"] == "2023-01-01"
    assert dict(server.requests[0].url.params) == {"tenant": "t", "trace": "yes"}
    assert server.body == ASK | {"temperature": 0.1, "seed": 7}


async def test_default_header_can_be_omitted(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE))
    client = dual.client(server, default_headers={"X-Team": "a"})
    await dual.create(client, extra_headers={"X-Team": dual.library.module.omit})
    assert "x-team" not in server.headers


@pytest.mark.parametrize("wrong", [{"prompt": None}, {"maxTokens": 5}])
async def test_invalid_call_is_a_type_error(dual: Dual, wrong: dict[str, Any]) -> None:
    client = dual.client(Recorder(dual.library.answer(WHOLE)))
    fields = ASK | wrong
    if fields["prompt"] is None:
        del fields["prompt"]
    with pytest.raises(TypeError):
        await dual.got(client.completions.create(**fields))


async def test_stream_yields_every_piece(dual: Dual) -> None:
    server = Recorder(dual.library.stream(*STREAM))
    stream = await dual.create(dual.client(server), stream=True)
    pieces = await dual.items(stream)
    assert [piece.completion for piece in pieces] == [" Hel", "lo!", ""]
    assert [piece.stop_reason for piece in pieces] == [None, None, "stop_sequence"]
    assert {piece.id for piece in pieces} == {"compl_1"}
    assert server.body == ASK | {"stream": True}
    assert stream.response.headers["request-id"] == "req_1"
    assert stream.response.is_closed


async def test_stream_can_be_closed_early(dual: Dual) -> None:
    response = dual.library.stream(*STREAM)
    stream = await dual.create(dual.client(Recorder(response)), stream=True)
    first = await dual.got(anext(stream) if dual.awaited else next(stream))
    assert first.completion == " Hel"
    await dual.close(stream)
    assert response.is_closed
    assert response.body.closed


async def test_a_stream_is_closed_by_its_with_block(dual: Dual) -> None:
    response = dual.library.stream(*STREAM)
    stream = await dual.create(dual.client(Recorder(response)), stream=True)

    async def fail(_: Any) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await dual.inside(stream, fail)
    assert response.body.closed


async def test_error_in_the_middle_of_a_stream_is_raised(dual: Dual) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    response = dual.library.stream(piece(" Hel"), event("error", error), piece("lo"))
    stream = await dual.create(dual.client(Recorder(response)), stream=True)
    with pytest.raises(dual.library.module.APIStatusError) as caught:
        await dual.items(stream)
    assert caught.value.type == "overloaded_error"
    assert caught.value.status_code == 200
    assert caught.value.request_id == "req_1"
    assert caught.value.body == error
    assert "Overloaded" in str(caught.value)
    assert response.body.closed


async def test_raw_response_is_parsed(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE, x_new="1"))
    create = dual.client(server).completions.with_raw_response.create
    response = await dual.got(create(**ASK))
    assert response.headers["x-new"] == "1"
    assert (response.status_code, response.request_id) == (200, "req_1")
    assert (response.retries_taken, response.method) == (0, "POST")
    assert json.loads(response.text) == json.loads(response.content) == WHOLE
    assert response.http_response.status_code == 200
    assert response.parse().completion == " Hello!"
    assert response.parse() is response.parse()
    assert response.is_closed


async def test_raw_response_of_a_stream_is_parsed(dual: Dual) -> None:
    server = Recorder(dual.library.stream(*STREAM))
    raw = dual.client(server).with_raw_response.completions
    response = await dual.got(raw.create(**ASK, stream=True))
    assert response.headers["content-type"] == "text/event-stream"
    assert "".join(p.completion for p in await dual.items(response.parse())) == " Hello!"


async def test_streaming_response_is_read_by_lines(dual: Dual) -> None:
    async def use(response: Any) -> None:
        assert not response.is_closed
        assert response.headers["request-id"] == "req_1"
        lines = await dual.items(response.iter_lines())
        assert lines[:2] == ["event: ping", 'data: {"type": "ping"}']

    server = Recorder(dual.library.stream(*STREAM))
    streaming = dual.client(server).completions.with_streaming_response
    await dual.inside(streaming.create(**ASK, stream=True), use)
    assert server.requests[0].method == "POST"


async def test_streaming_response_is_parsed(dual: Dual) -> None:
    async def parse(response: Any) -> Any:
        return await dual.got(response.parse())

    async def read(response: Any) -> Any:
        assert await dual.got(response.json()) == WHOLE
        assert json.loads(await dual.got(response.text())) == WHOLE
        return await dual.got(response.read())

    server = Recorder(dual.library.answer(WHOLE))
    client = dual.client(server)
    create = client.with_streaming_response.completions.create
    completion = await dual.inside(create(**ASK), parse)
    assert completion.completion == " Hello!"
    server = Recorder(dual.library.answer(WHOLE))
    create = dual.client(server).with_streaming_response.completions.create
    assert json.loads(await dual.inside(create(**ASK), read)) == WHOLE


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (400, "BadRequestError", "invalid_request_error"),
        (401, "AuthenticationError", "authentication_error"),
        (402, "APIStatusError", "billing_error"),
        (403, "PermissionDeniedError", "permission_error"),
        (404, "NotFoundError", "not_found_error"),
        (409, "ConflictError", "conflict_error"),
        (413, "RequestTooLargeError", "request_too_large"),
        (418, "APIStatusError", "invalid_request_error"),
        (422, "UnprocessableEntityError", "invalid_request_error"),
        (429, "RateLimitError", "rate_limit_error"),
        (500, "InternalServerError", "api_error"),
        (503, "InternalServerError", "api_error"),
        (504, "InternalServerError", "timeout_error"),
        (529, "OverloadedError", "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_error_status_raises_its_class(
    dual: Dual, status: int, name: str, kind: str, stream: bool
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "What is wrong."}}
    client = dual.client(Recorder(dual.library.answer(body, status)))
    with pytest.raises(dual.library.module.APIStatusError) as caught:
        await dual.create(client, stream=stream)
    error = caught.value
    assert type(error).__name__ == name
    assert (error.status_code, error.type, error.request_id) == (status, kind, "req_1")
    assert error.body == body
    assert error.response.status_code == status
    assert error.request.method == "POST"
    assert error.message == str(error) == f"Error code: {status} - {body}"


async def test_error_without_json_has_the_text(dual: Dual) -> None:
    page = dual.library.http.Response(502, text=" <html>Bad Gateway</html>\n")
    with pytest.raises(dual.library.module.InternalServerError) as caught:
        await dual.create(dual.client(Recorder(page)))
    assert caught.value.body == caught.value.message == "<html>Bad Gateway</html>"
    assert (caught.value.type, caught.value.request_id) == (None, None)


async def test_connection_error_is_raised(dual: Dual) -> None:
    client = dual.client(Recorder(dual.library.http.ConnectError("refused")))
    with pytest.raises(
        dual.library.module.APIConnectionError, match=r"^Connection error\."
    ) as caught:
        await dual.create(client)
    assert caught.value.body is None
    assert str(caught.value.request.url) == "http://api.test/v1/complete"
    assert not isinstance(caught.value, dual.library.module.APITimeoutError)


async def test_timeout_is_raised(dual: Dual) -> None:
    client = dual.client(Recorder(dual.library.http.ReadTimeout("slow")))
    with pytest.raises(dual.library.module.APITimeoutError, match=r"^Request timed out") as caught:
        await dual.create(client)
    assert isinstance(caught.value, dual.library.module.APIConnectionError)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 529])
async def test_temporary_failure_is_retried(dual: Dual, status: int) -> None:
    soon = dual.library.answer({}, status, retry_after_ms="1")
    server = Recorder(soon, soon, dual.library.answer(WHOLE))
    client = dual.client(server, max_retries=2)
    response = await dual.got(client.completions.with_raw_response.create(**ASK))
    assert response.retries_taken == 2
    assert response.parse().completion == " Hello!"
    assert len({request.content for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("status", "should_retry", "requests"),
    [(400, None, 1), (400, "true", 3), (500, "false", 1), (500, "maybe", 3)],
)
async def test_server_header_decides_on_retries(
    dual: Dual, status: int, should_retry: str | None, requests: int
) -> None:
    headers = {"x_should_retry": should_retry} if should_retry else {}
    server = Recorder(dual.library.answer({}, status, retry_after_ms="1", **headers))
    with pytest.raises(dual.library.module.APIStatusError):
        await dual.create(dual.client(server, max_retries=2))
    assert len(server.requests) == requests


async def test_options_of_one_call_are_applied(dual: Dual) -> None:
    server = Recorder(dual.library.answer({}, 500, retry_after_ms="1"))
    client = dual.client(server, max_retries=2, timeout=7.0)
    with pytest.raises(dual.library.module.InternalServerError):
        await dual.create(client.with_options(max_retries=1), timeout=3.5)
    assert len(server.requests) == 2
    assert server.requests[0].extensions["timeout"]["read"] == 3.5
    with pytest.raises(dual.library.module.InternalServerError):
        await dual.create(client.with_options(max_retries=0))
    assert server.requests[-1].extensions["timeout"]["read"] == 7.0
    with pytest.raises(dual.library.module.InternalServerError):
        await dual.create(client.with_options(max_retries=0, timeout=None))
    assert server.requests[-1].extensions["timeout"]["read"] is None


def test_options_of_a_client_are_readable(library: Library) -> None:
    def nothing(_: Any) -> None:
        raise AssertionError

    client = library.client(nothing, timeout=5, max_retries=4, default_headers={"X-Team": "a"})
    assert (client.api_key, client.auth_token, client.max_retries) == ("sk-test", None, 4)
    assert str(client.base_url) == "http://api.test"
    assert client.timeout == 5
    copy = client.copy(api_key="sk-2", base_url="http://b.test/v2", default_headers={"X-Cost": "c"})
    assert (copy.api_key, str(copy.base_url), copy.max_retries) == ("sk-2", "http://b.test/v2/", 4)
    assert client.with_options(timeout=1).timeout == 1
    with pytest.raises(ValueError, match="default_headers"):
        client.copy(default_headers={}, set_default_headers={})
    assert (client.HUMAN_PROMPT, client.AI_PROMPT) == ("\n\nHuman:", "\n\nAssistant:")
    assert client.HUMAN_PROMPT == library.module.HUMAN_PROMPT
    assert client.AI_PROMPT == library.module.AI_PROMPT


async def test_copies_send_their_own_options(dual: Dual) -> None:
    server = Recorder(dual.library.answer(WHOLE))
    client = dual.client(server, default_headers={"X-Team": "a"})
    await dual.create(client.with_options(default_headers={"X-Cost": "c"}, api_key="sk-2"))
    assert (server.headers["x-team"], server.headers["x-cost"]) == ("a", "c")
    assert server.headers["x-api-key"] == "sk-2"
    await dual.create(client.with_options(set_default_headers={"X-Cost": "c"}))
    assert "x-team" not in server.headers
    await dual.create(client.copy(base_url="http://b.test/api/"))
    assert str(server.requests[-1].url) == "http://b.test/api/v1/complete"


async def test_auth_token_is_sent_as_bearer(dual: Dual, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-environment")
    server = Recorder(dual.library.answer(WHOLE))
    await dual.create(dual.client(server, api_key=None, auth_token="token"))
    assert server.headers["authorization"] == "Bearer token"
    assert "x-api-key" not in server.headers


async def test_environment_sets_key_token_and_base_url(
    dual: Dual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-environment")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://environment.test/api")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Team: a\nX-Cost: c:d")
    server = Recorder(dual.library.answer(WHOLE))
    await dual.create(dual.client(server, api_key=None, base_url=None))
    assert str(server.requests[0].url) == "http://environment.test/api/v1/complete"
    assert server.headers["x-api-key"] == "sk-environment"
    assert server.headers["authorization"] == "Bearer token"
    assert (server.headers["x-team"], server.headers["x-cost"]) == ("a", "c:d")


async def test_client_is_closed_after_its_with_block(dual: Dual) -> None:
    client = dual.client(Recorder(dual.library.answer(WHOLE)))
    assert not client.is_closed()

    async def ask(entered: Any) -> Any:
        assert entered is client
        return await dual.create(entered)

    assert (await dual.inside(client, ask)).completion == " Hello!"
    assert client.is_closed()


def model(name: str) -> dict[str, str]:
    created = "2023-11-21T00:00:00Z"
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


async def test_models_are_listed_page_by_page(dual: Dual) -> None:
    pages = [
        {"data": [model("b"), model("a")], "has_more": True, "first_id": "b", "last_id": "a"},
        {"data": [model("c")], "has_more": False, "first_id": "c", "last_id": "c"},
    ]
    server = Recorder(*map(dual.library.answer, pages))
    client = dual.client(server)
    listed = client.models.list(limit=2, extra_query={"x": "y"})
    assert [found.id for found in await dual.items(listed)] == ["b", "a", "c"]
    queries = [dict(request.url.params) for request in server.requests]
    assert queries == [{"limit": "2", "x": "y"}, {"limit": "2", "x": "y", "after_id": "a"}]
    assert server.requests[0].method == "GET"
    assert "content-type" not in server.headers


async def test_models_are_listed_backwards(dual: Dual) -> None:
    body = {"data": [model("b")], "has_more": True, "first_id": "b", "last_id": "b"}
    server = Recorder(dual.library.answer(body))
    page = await dual.got(dual.client(server).models.list(before_id="c"))
    assert page.has_next_page()
    assert page.data[0].created_at.year == 2023
    await dual.got(page.get_next_page())
    assert [dict(r.url.params)["before_id"] for r in server.requests] == ["c", "b"]


async def test_model_is_retrieved(dual: Dual) -> None:
    server = Recorder(dual.library.answer(model("org/model")))
    found = await dual.got(dual.client(server).models.retrieve("claude-2.1"))
    assert (found.id, found.type, found._request_id) == ("org/model", "model", "req_1")
    assert server.requests[0].url.path == "/v1/models/claude-2.1"
    with pytest.raises(ValueError, match="non-empty"):
        await dual.got(dual.client(server).models.retrieve(""))


async def test_client_completes_against_the_server(
    dual: Dual, capital_server: RunningServer
) -> None:
    module = dual.library.module
    kind = module.AsyncAnthropic if dual.awaited else module.Anthropic
    client = kind(api_key="sk-any", base_url=capital_server.url)
    plain = await dual.create(client, max_tokens_to_sample=20)
    assert plain.completion == "".join(CAPITAL)
    stream = await dual.create(client, max_tokens_to_sample=20, stream=True)
    pieces = await dual.items(stream)
    assert "".join(piece.completion for piece in pieces) == plain.completion
    assert pieces[-1].stop_reason == plain.stop_reason
    with pytest.raises(module.BadRequestError, match=r"temperature"):
        await dual.create(client, temperature=3)
    assert (await dual.got(client.models.retrieve("capital"))).type == "model"
    await dual.close(client)
    assert PROMPT in ASK["prompt"]
