"""Proxies of the environment, and clients that more than one event loop uses."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tenuto
from tenuto import AsyncClient, Client
from tenuto.core.addresses import is_this_machine, proxy_for
from tests.client.libraries import ASK, OURS, WHOLE, Dual
from tests.client.loopback import LoopbackServer, answer, serving

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    def respond(_: bytes, send: Callable[[bytes], None]) -> None:
        send(answer("200 OK", json.dumps(WHOLE).encode()))

    with serving(respond) as server:
        yield server


@pytest.fixture
def keep_alive_server() -> Iterator[LoopbackServer]:
    """A server whose connections stay open: a loop leaves some in the client's pool."""

    def respond(_: bytes, send: Callable[[bytes], None]) -> None:
        send(answer("200 OK", json.dumps(WHOLE).encode(), connection="keep-alive"))

    with serving(respond, keep_alive=True) as server:
        yield server


@pytest.mark.parametrize(
    ("variables", "host", "variable"),
    [
        ({"HTTP_PROXY": "p:1"}, "gpu.test", "HTTP_PROXY"),
        ({"HTTP_PROXY": "p:1", "http_proxy": "q:1"}, "gpu.test", "http_proxy"),
        ({"HTTP_PROXY": "p:1", "http_proxy": ""}, "gpu.test", None),
        ({"ALL_PROXY": "socks5://p:1"}, "gpu.test", "ALL_PROXY"),
        ({"HTTPS_PROXY": "p:1"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "gpu.test"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": ".test,x"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "*.test"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "est"}, "gpu.test", "HTTP_PROXY"),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "gpu.test:81"}, "gpu.test", "HTTP_PROXY"),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "gpu.test:80"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "10.0.0.0/8"}, "10.1.2.3", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "*"}, "gpu.test", None),
        ({"HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"}, "gpu.test", None),
        ({"ALL_PROXY": "p:1", "HTTP_PROXY": "p:1"}, "127.0.0.1", None),
        ({"HTTP_PROXY": "p:1"}, "::1", None),
        ({"HTTP_PROXY": "p:1"}, "localhost", None),
    ],
)
def test_proxy_is_chosen_by_variable_and_host(
    variables: dict[str, str], host: str, variable: str | None
) -> None:
    found = proxy_for("http", host, 80, variables)
    assert (found and found.variable) == variable


@pytest.mark.parametrize(
    "host", ["127.8.9.1", "[::1]", "a.localhost", "0.0.0.0", "::ffff:127.0.0.1"]
)
def test_every_name_of_this_machine_is_recognised(host: str) -> None:
    assert is_this_machine(host)
    assert not is_this_machine("localhost.test")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "nonsense://x"])
async def test_loopback_is_contacted_without_a_proxy(
    dual: Dual, server: LoopbackServer, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy)
    client = (AsyncClient if dual.awaited else Client)(base_url=server.url)
    assert (await dual.create(client)).completion == " Hello!"
    await dual.close(client)


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("socks5://user:pass-word@127.0.0.1:1", "ALL_PROXY names a SOCKS proxy.*NO_PROXY=gpu.test"),
        ("nonsense://user:pass-word@x", "ALL_PROXY names an invalid proxy"),
        ("http://user:pass-word@127.0.0.1:1", r"proxy http://127\.0\.0\.1:1 from ALL_PROXY"),
    ],
)
async def test_error_of_an_unusable_proxy_has_its_variable(
    dual: Dual, proxy: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    client = (AsyncClient if dual.awaited else Client)(base_url="http://gpu.test", max_retries=0)
    with pytest.raises(tenuto.APIConnectionError, match=message) as caught:
        await dual.create(client)
    assert "pass-word" not in str(caught.value)
    assert "tenuto serve" not in str(caught.value)
    await dual.close(client)


def test_one_client_may_be_used_by_one_loop_after_another(
    keep_alive_server: LoopbackServer,
) -> None:
    client = AsyncClient(base_url=keep_alive_server.url)

    async def ask(client: AsyncClient) -> str:
        answered: Any = await client.completions.create(**ASK)
        return str(answered.completion)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert [asyncio.run(ask(client)) for _ in range(3)] == [" Hello!"] * 3
        del client
        gc.collect()
    assert [str(each.message) for each in seen] == []


def test_one_client_may_be_used_by_two_loops_at_once(keep_alive_server: LoopbackServer) -> None:
    client = AsyncClient(base_url=keep_alive_server.url)
    errors: list[BaseException] = []

    async def ask() -> None:
        for _ in range(5):
            await asyncio.gather(*(client.completions.create(**ASK) for _ in range(4)))

    def run() -> None:
        try:
            asyncio.run(ask())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
