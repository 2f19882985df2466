"""Addresses and headers that cannot be used, and credentials that follow the address."""

from __future__ import annotations

import traceback
from typing import Any

import httpx2
import pytest

import tenuto
from tenuto import AsyncClient, Client
from tests.client.libraries import ASK, OURS, WHOLE, Dual
from tests.client.loopback import serving

pytestmark = pytest.mark.anyio

BAD = ["sk-\N{HORIZONTAL ELLIPSIS}abc", "sk-secret\nx: y", "sk-secret\r\n", "sk-\x00secret"]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


def assert_secret(error: BaseException, value: str) -> None:
    """The value is nowhere in an error and in what led to it."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:
        seen.append(link)
        assert value not in str(link)
        assert value not in list(link.args)
        assert not isinstance(link, UnicodeError)
        link = link.__cause__ or link.__context__
    assert value.strip() not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_key_invalid_in_a_header_is_an_error_with_its_name(
    kind: Any, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("api_key", "auth_token"):
        with pytest.raises(ValueError, match=name) as caught:
            kind(**{name: value})
        assert_secret(caught.value, value)
        with pytest.raises(ValueError, match=name):
            kind().with_options(**{name: value})
    with pytest.raises(ValueError, match="X-Team"):
        kind(default_headers={"X-Team": value})


@pytest.mark.parametrize("value", [BAD[0], BAD[1]])
def test_variable_invalid_in_a_header_is_an_error_with_its_name(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TENUTO_API_KEY", "TENUTO_AUTH_TOKEN"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(ValueError, match=variable) as caught:
            Client()
        assert_secret(caught.value, value)
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TENUTO_CUSTOM_HEADERS", f"x-team: {BAD[0]}")
    with pytest.raises(ValueError, match="x-team in TENUTO_CUSTOM_HEADERS"):
        Client()


@pytest.mark.parametrize("value", BAD)
async def test_invalid_extra_header_is_rejected_before_sending(dual: Dual, value: str) -> None:
    def nothing(_: Any) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="x-team") as caught:
        await dual.create(dual.client(nothing), extra_headers={"x-team": value})
    assert_secret(caught.value, value)
    with pytest.raises(ValueError, match="name of a header"):
        await dual.create(dual.client(nothing), extra_headers={"x team": "a"})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("localhost:8000/api", "http://localhost:8000/api"),
        ("ftp://gpu.test", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://[", "base_url"),
        ("gpu.test/v1/complete", "must begin with http"),
        ("http://gpu.test/v1/complete", "must end before /v1/complete"),
    ],
)
def test_invalid_base_url_is_an_error_at_construction(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for make in (Client, AsyncClient, Client().with_options):
        with pytest.raises(ValueError, match="base_url") as caught:
            make(base_url=url)
        assert message in str(caught.value)
    monkeypatch.setenv("TENUTO_BASE_URL", url)
    with pytest.raises(ValueError, match="TENUTO_BASE_URL"):
        Client()


@pytest.mark.parametrize("base", ["/v1", "/v1/", ""])
async def test_base_url_may_end_in_the_version(dual: Dual, base: str) -> None:
    seen: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.path)
        return OURS.answer(WHOLE)  # type: ignore[no-any-return]

    await dual.create(dual.client(handle, base_url=f"http://api.test{base}"))
    await dual.create(dual.client(handle, base_url=f"http://api.test/api{base}"))
    assert seen == ["/v1/complete", "/api/v1/complete"]


async def test_key_of_the_environment_is_not_sent_to_another_address(
    dual: Dual, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-theirs")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-secret: sk-header")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://gateway.test")
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return OURS.answer(WHOLE)  # type: ignore[no-any-return]

    client = dual.client(handle, api_key=None, base_url=None)
    await dual.create(client)
    await dual.create(client.with_options(max_retries=1))
    assert [r.headers["x-api-key"] for r in seen] == ["sk-theirs"] * 2
    await dual.create(client.with_options(base_url="http://other.test"))
    client.base_url = "http://other.test"
    await dual.create(client)
    await dual.create(dual.client(handle, api_key=None))
    for request in seen[2:]:
        assert "x-api-key" not in request.headers
        assert "x-secret" not in request.headers


def test_error_of_tls_to_a_plain_port_names_the_cause() -> None:
    def respond(_: bytes, send: Any) -> None:
        send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with serving(respond) as server:
        secure = server.url.replace("http://", "https://")
        with Client(base_url=secure, max_retries=0) as client:
            with pytest.raises(tenuto.APIConnectionError, match=f"try {server.url} as") as caught:
                client.completions.create(**ASK)
    assert ".." not in str(caught.value)


def test_errors_do_not_show_the_password() -> None:
    with Client(base_url="http://user:pass-word@127.0.0.1:9", max_retries=0) as client:
        with pytest.raises(tenuto.APIConnectionError, match="tenuto serve") as caught:
            client.completions.create(**ASK)
    assert "pass-word" not in str(caught.value)
