"""Clients, where ours differ from the official ones: addresses, warnings, mistakes."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest

import tenuto
from tenuto import AsyncClient, Client
from tests.client.libraries import ASK, OURS, WHOLE, Dual
from tests.conftest import RunningServer

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def dual(request: pytest.FixtureRequest) -> Dual:
    return Dual(OURS, awaited=request.param)


class Server:
    """Handler that completes every request and records the last one."""

    def __init__(self) -> None:
        self.request: Any = None

    def __call__(self, request: Any) -> Any:
        self.request = request
        return httpx2.Response(200, json=WHOLE)


def test_names_of_the_official_package_are_aliases() -> None:
    assert (tenuto.Anthropic, tenuto.AsyncAnthropic) == (Client, AsyncClient)


async def test_tenuto_variables_take_precedence(
    dual: Dual, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL"):
        monkeypatch.setenv(f"ANTHROPIC_{name}", f"http://anthropic/{name}")
        monkeypatch.setenv(f"TENUTO_{name}", f"http://tenuto/{name}")
    server = Server()
    await dual.create(dual.client(server, api_key=None, base_url=None))
    assert str(server.request.url) == "http://tenuto/BASE_URL/v1/complete"
    assert server.request.headers["x-api-key"] == "http://tenuto/API_KEY"
    assert server.request.headers["authorization"] == "Bearer http://tenuto/AUTH_TOKEN"


async def test_default_base_url_is_the_local_server(
    dual: Dual, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)
        monkeypatch.delenv(f"TENUTO_{name}", raising=False)
    server = Server()
    await dual.create(dual.client(server, api_key=None, base_url=None))
    assert str(server.request.url) == "http://127.0.0.1:8000/v1/complete"
    assert "x-api-key" not in server.request.headers
    assert "authorization" not in server.request.headers


async def test_a_base_url_may_be_set_later(dual: Dual) -> None:
    server = Server()
    client = dual.client(server)
    await dual.create(client)
    client.base_url = "http://later.test"
    await dual.create(client)
    assert str(server.request.url) == "http://later.test/v1/complete"


async def test_headers_are_case_insensitive(dual: Dual) -> None:
    server = Server()
    client = dual.client(server, default_headers={"X-API-Key": "sk-other"})
    await dual.create(client, extra_headers={"ANTHROPIC-VERSION": "2023-01-01"})
    assert server.request.headers.get_list("x-api-key") == ["sk-other"]
    assert server.request.headers.get_list("anthropic-version") == ["2023-01-01"]


async def test_user_agent_is_the_client(dual: Dual) -> None:
    server = Server()
    await dual.create(dual.client(server))
    assert server.request.headers["user-agent"] == f"Tenuto/Python {tenuto.__version__}"


@pytest.mark.parametrize("stops", [("END",), {"END"}, ["END"], dict.fromkeys(["END"])])
async def test_stop_sequences_of_any_iterable_are_sent_as_a_list(dual: Dual, stops: Any) -> None:
    server = Server()
    await dual.create(dual.client(server), stop_sequences=stops)
    assert b'"stop_sequences":["END"]' in server.request.content


async def test_string_as_stop_sequences_is_sent_unchanged(dual: Dual) -> None:
    server = Server()
    await dual.create(dual.client(server), stop_sequences="END")
    assert b'"stop_sequences":"END"' in server.request.content


async def test_lone_surrogate_is_sent_escaped(dual: Dual) -> None:
    server = Server()
    await dual.create(dual.client(server), prompt="\n\nHuman: \ud83d\n\nAssistant:")
    assert b"\\ud83d" in server.request.content


async def test_httpx_timeouts_are_accepted(dual: Dual) -> None:
    server = Server()
    await dual.create(dual.client(server, timeout=httpx.Timeout(3.0, connect=1.0)))
    assert server.request.extensions["timeout"] == {
        "connect": 1.0,
        "read": 3.0,
        "write": 3.0,
        "pool": 3.0,
    }
    with pytest.raises(TypeError, match="seconds"):
        await dual.create(dual.client(server), timeout="3")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": "sk-secret\n"}, "api_key is not valid in a header"),
        ({"auth_token": "sk-secret\r"}, "auth_token is not valid in a header"),
        ({"max_retries": -1}, "max_retries must be 0 or more"),
        ({"engine": "gpu"}, "engine must be local, local:MODEL or echo, not 'gpu'"),
        ({"engine": "local:/nowhere.gguf"}, "nowhere.gguf"),
        ({"engine": "local", "base_url": "http://x"}, "leave out engine or base_url"),
    ],
)
def test_error_of_an_invalid_option_has_its_name(
    kind: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        kind(**options)
    assert "sk-secret" not in str(caught.value)


def test_http_client_of_the_wrong_type_is_rejected() -> None:
    with httpx.Client() as other, pytest.raises(TypeError, match=r"httpx2\.Client, not httpx\."):
        Client(http_client=other)  # type: ignore[arg-type]
    with httpx2.Client() as sync, pytest.raises(TypeError, match=r"httpx2\.AsyncClient, not"):
        AsyncClient(http_client=sync)  # type: ignore[arg-type]
    with httpx2.Client() as sync, pytest.raises(ValueError, match="leave out engine"):
        Client(http_client=sync, engine="echo")


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="api_url"):
        Client(api_url="http://x")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "hint"), [("messages", "package `anthropic`"), ("completion", "completions.create")]
)
def test_attribute_error_for_another_api_has_the_remedy(name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=hint):
        getattr(Client(), name)
    assert not hasattr(Client(), "nonsense")


async def test_retired_model_warns_once(dual: Dual) -> None:
    client = dual.client(Server())
    with pytest.warns(
        DeprecationWarning, match=r"'claude-2\.1' on 2025-07-21.*end of life"
    ) as seen:
        await dual.create(client, model="claude-2.1")
    assert len(seen) == 1
    # The tests turn warnings into errors: a second one would raise here.
    await dual.create(client, model="claude-2.1")
    await dual.create(client.with_options(timeout=1), model="claude-2.1")
    await dual.create(client, model="tenuto-mini")


def test_warning_has_the_callers_line() -> None:
    client = OURS.client(Server())
    calls: list[Callable[[], object]] = [
        lambda: client.completions.create(**ASK | {"model": "claude-2"}),
        lambda: client.completions.with_raw_response.create(**ASK | {"model": "claude-2.0"}),
        lambda: client.with_raw_response.completions.create(**ASK | {"model": "claude-1"}),
    ]
    for call in calls:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            call()
        assert [warning.filename for warning in seen] == [__file__]


def test_threads_share_one_pool() -> None:
    client, seen = Client(), []
    barrier = threading.Barrier(8)

    def look() -> None:
        barrier.wait()
        seen.append(client._pool.get())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, seen))) == 1
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.completions.create(**ASK)


def test_collected_client_closes_its_connections(server: RunningServer) -> None:
    def open_files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = open_files()
    client = Client(base_url=server.url)
    client.models.list()
    assert open_files() > before
    del client
    assert open_files() == before


async def test_refused_connection_error_has_the_remedy(dual: Dual) -> None:
    kind = AsyncClient if dual.awaited else Client
    client = kind(base_url="http://127.0.0.1:9", max_retries=0)
    with pytest.raises(tenuto.APIConnectionError, match=r"127\.0\.0\.1:9.*`tenuto serve`"):
        await dual.create(client)
    await dual.close(client)
