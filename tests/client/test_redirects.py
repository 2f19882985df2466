"""Redirects: within an origin they are followed, and nothing is sent to another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tenuto import APIStatusError, AsyncClient, Client
from tests.client.libraries import ASK, OURS, PROMPT, WHOLE, Dual
from tests.client.loopback import LoopbackServer, answer, serving

pytestmark = pytest.mark.anyio

SECRETS = ("sk-key", "tok-token", "cook-ie", "head-default", "head-extra")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


def redirecting(status: int, location: Callable[[], str]) -> Any:
    def respond(_: bytes, send: Callable[[bytes], None]) -> None:
        send(answer(f"{status} Moved", location=location()))

    return respond


def completing(_: bytes, send: Callable[[bytes], None]) -> None:
    send(answer("200 OK", json.dumps(WHOLE).encode()))


def secretive(dual: Dual, url: str, **options: Any) -> Any:
    kind = AsyncClient if dual.awaited else Client
    return kind(
        base_url=url,
        api_key="sk-key",
        auth_token="tok-token",
        default_headers={"x-team-key": "head-default"},
        max_retries=2,
        **options,
    )


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stream", [False, True])
async def test_redirect_to_another_origin_is_not_followed(
    dual: Dual, status: int, stream: bool
) -> None:
    with serving(completing) as other:
        with serving(redirecting(status, lambda: f"{other.url}/v1/complete?a=b")) as server:
            client = secretive(dual, server.url)
            with pytest.raises(APIStatusError) as caught:
                await dual.create(
                    client,
                    stream=stream,
                    extra_headers={"x-extra": "head-extra", "cookie": "a=cook-ie"},
                )
            await dual.close(client)
            assert len(server.requests) == 1
        assert other.requests == []
    error = caught.value
    assert error.status_code == status
    assert other.url in error.message
    assert "`base_url`" in error.message
    assert not any(secret in error.message for secret in (*SECRETS, PROMPT, "a=b"))


async def called(create: Callable[..., Any]) -> Any:
    return create(**ASK)


@pytest.mark.parametrize("streaming", [False, True])
async def test_raw_and_streaming_responses_follow_no_redirect(dual: Dual, streaming: bool) -> None:
    async def nothing(_: Any) -> None: ...

    with serving(completing) as other:
        with serving(redirecting(307, lambda: other.url)) as server:
            client = secretive(dual, server.url)
            if streaming:
                create = client.completions.with_streaming_response.create
                response = dual.inside(create(**ASK, stream=True), nothing)
            else:
                create = client.completions.with_raw_response.create
                response = dual.got(create(**ASK)) if dual.awaited else called(create)
            with pytest.raises(APIStatusError, match="redirects to another"):
                await response
            with pytest.raises(APIStatusError, match="redirects to another"):
                await dual.items(client.models.list())
            await dual.close(client)
        assert other.requests == []


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("http://api.test:81/v1/complete", "http://api.test:81"),
        ("https://api.test/v1/complete", "https://api.test"),
        ("http://api.test.evil.test/", "http://api.test.evil.test"),
        ("//other.test/v1/complete", "http://other.test"),
        ("http://api.test@other.test/", "http://other.test"),
        ("http://user:pass-word@other.test/", "http://other.test"),
    ],
)
async def test_error_of_a_redirect_has_the_other_origin(
    dual: Dual, location: str, there: str
) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        assert request.url.host == "api.test"
        return httpx2.Response(307, headers={"location": location})

    with pytest.raises(APIStatusError, match=there) as caught:
        await dual.create(dual.client(handle))
    assert "pass-word" not in caught.value.message


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", ["/new/v1/complete", "http://api.test:80/new/v1/complete"])
@pytest.mark.parametrize("follows", [True, False])
async def test_redirect_within_the_origin_repeats_the_request(
    dual: Dual, status: int, location: str, follows: bool
) -> None:
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if request.url.path.startswith("/new"):
            return httpx2.Response(200, json=WHOLE)
        return httpx2.Response(status, headers={"location": location})

    client = dual.client(handle)
    client._pool.http_client.follow_redirects = follows
    if not follows:
        with pytest.raises(APIStatusError, match="follow_redirects=False"):
            await dual.create(client)
        return
    answered = await dual.create(client, extra_headers={"cookie": "a=b"})
    assert answered.completion == " Hello!"
    assert [request.method for request in seen] == ["POST", "POST"]
    assert seen[0].content == seen[1].content
    for name in ("x-api-key", "content-type", "cookie"):
        assert seen[0].headers[name] == seen[1].headers[name]


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_post_is_never_redirected_as_get(dual: Dual, status: int) -> None:
    seen: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.method)
        return httpx2.Response(status, headers={"location": "/v2/complete"})

    client = dual.client(handle)
    client._pool.http_client.follow_redirects = True
    with pytest.raises(APIStatusError, match=r"POST into a GET.*`base_url`"):
        await dual.create(client)
    assert seen == ["POST"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_get_follows_redirects_within_the_origin(dual: Dual, status: int) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(status, headers={"location": "/models"})
        return httpx2.Response(200, json={"data": [], "has_more": False})

    client = dual.client(handle)
    client._pool.http_client.follow_redirects = True
    assert await dual.items(client.models.list()) == []


async def test_redirect_loop_ends_in_an_error(dual: Dual) -> None:
    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(307, headers={"location": "/v1/complete"})

    client = dual.client(handle, max_retries=2)
    client._pool.http_client.follow_redirects = True
    with pytest.raises(APIStatusError, match="20 times"):
        await dual.create(client)


@pytest.mark.parametrize(
    ("status", "headers"),
    [(300, {}), (304, {}), (307, {}), (307, {"location": "http://["}), (302, {"location": ""})],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_redirect_without_a_location_is_a_status_error(
    dual: Dual, status: int, headers: dict[str, str], stream: bool
) -> None:
    client = dual.client(lambda _: httpx2.Response(status, headers=headers))
    with pytest.raises(APIStatusError, match=str(status)) as caught:
        await dual.create(client, stream=stream)
    assert caught.value.status_code == status


async def test_callers_http_client_follows_no_redirect(dual: Dual) -> None:
    http: Any = (httpx2.AsyncClient if dual.awaited else httpx2.Client)(follow_redirects=True)

    def run(server: LoopbackServer) -> Any:
        return secretive(dual, server.url, http_client=http)

    with serving(completing) as other:
        with serving(redirecting(307, lambda: other.url)) as server:
            with pytest.raises(APIStatusError, match="redirects to another"):
                await dual.create(run(server))
        assert other.requests == []
    await dual.got(http.aclose() if dual.awaited else http.close())
