"""Connections to upstreams: kept ones that died, compression, addresses, proxies, time limits."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from tenuto.core.refusal import ModelError
from tenuto.engine.upstream import connection
from tenuto.engine.upstream.decoding import NotReadable, decoder_for
from tenuto.engine.upstream.kinds.messages import MessagesUpstream
from tenuto.engine.upstream.kinds.openai import OpenAIUpstream
from tenuto.engine.upstream.proxies import proxy_for
from tenuto.engine.upstream.route import RouteSettings
from tests.engine.upstream import claude
from tests.engine.upstream.callers import caller_of
from tests.engine.upstream.scripted import RESET, ScriptedServer, Step, scripted_server, whole

pytestmark = pytest.mark.anyio

MODEL = "claude-haiku-4-5"
both_ways = pytest.mark.parametrize("as_stream", [False, True], ids=["plain", "streamed"])
ONCE = RouteSettings(("*",), ("a",), max_retries=0)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as started:
        yield started.answers(
            lambda request: claude.answer("Hello there", as_stream=request.body["stream"])
        )


class OneEach:
    """A server that answers one request a connection, and closes when the second arrives."""

    def __init__(self, first_bytes: bytes = b"") -> None:
        self.connections = self.second = 0
        self._first_bytes = first_bytes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for number in (1, 2):
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                writer.close()
                return
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            if number == 1:
                step = claude.message("Hi")[0]
                assert isinstance(step, bytes)
                writer.write(step)
            else:
                self.second += 1
                writer.write(self._first_bytes)
                await writer.drain()
                writer.transport.close() if self._first_bytes else writer.transport.abort()
                return


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("retries", [0, 1])
async def test_dead_idle_connection_is_replaced_once(at_once: int, retries: int) -> None:
    one_each = OneEach()
    server = await asyncio.start_server(one_each.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    upstream = MessagesUpstream(base_url=f"http://{host}:{port}")
    route = RouteSettings(("*",), ("a",), max_retries=retries)
    async with caller_of({"a": upstream}, route) as caller:
        for _ in range(2):
            completions = [caller.complete(model=MODEL) for _ in range(at_once)]
            assert [(one.status, one.text) for one in await asyncio.gather(*completions)] == [
                (200, " Hi")
            ] * at_once
        assert (one_each.connections, one_each.second) == (2 * at_once, at_once)
        # Otherwise a few of them would shut out a healthy server.
        assert caller.engine.health().upstreams["a"].failures == 0
    server.close()


async def test_connection_lost_within_a_response_is_not_retried() -> None:
    one_each = OneEach(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{")
    server = await asyncio.start_server(one_each.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with caller_of({"a": MessagesUpstream(base_url=f"http://{host}:{port}")}, ONCE) as caller:
        assert (await caller.complete(model=MODEL)).status == 200
        assert (await caller.complete(model=MODEL)).status == 500
        assert one_each.connections == 1
    server.close()


async def test_reset_of_a_new_connection_is_not_retried(server: ScriptedServer) -> None:
    server.answers([RESET])
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}, ONCE) as caller:
        assert (await caller.complete(model=MODEL)).status == 500
        assert caller.engine.health().upstreams["a"].failures == 1
    assert len(server.requests) == 1


def compressed(steps: list[Step], encoding: str, compress: Callable[[bytes], bytes]) -> list[Step]:
    """The same answer, compressed, in one step or chunk for each two bytes."""
    (head, *_) = steps
    assert isinstance(head, bytes)
    if b"chunked" not in head:
        lines, _, body = head.partition(b"\r\n\r\n")
        lines = b"\r\n".join(
            line for line in lines.split(b"\r\n") if not line.startswith(b"content-length")
        )
        body = compress(body)
        length = f"\r\ncontent-length: {len(body)}\r\ncontent-encoding: {encoding}\r\n\r\n"
        return [lines + length.encode() + body]
    chunks = [step for step in steps[1:-1] if isinstance(step, bytes)]
    body = compress(b"".join(chunk.partition(b"\r\n")[2][:-2] for chunk in chunks))
    parts = [body[at : at + 2] for at in range(0, len(body), 2)]
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return [head[:-2] + f"content-encoding: {encoding}\r\n\r\n".encode(), encoded + b"0\r\n\r\n"]


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


ENCODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "members": ("gzip", lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:])),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "said but not done": ("gzip", bytes),
    "identity": ("identity", bytes),
}


@both_ways
@pytest.mark.parametrize("name", ENCODINGS)
async def test_compressed_responses_and_errors_are_decoded(
    server: ScriptedServer, name: str, as_stream: bool
) -> None:
    encoding = ENCODINGS[name]
    error = claude.error(400, "invalid_request_error", "temperature: too high")
    answer = claude.answer("Hello there", as_stream=as_stream)
    server.answers(compressed(answer, *encoding), compressed(error, *encoding))
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}) as caller:
        assert (await caller.complete(model=MODEL, stream=as_stream)).text == " Hello there"
        seen = await caller.complete(model=MODEL, stream=as_stream)
        assert (seen.status, seen.final["error"]["message"]) == (400, "temperature: too high")


@both_ways
async def test_undecodable_response_is_an_error_with_its_status(
    server: ScriptedServer, as_stream: bool
) -> None:
    error = compressed(claude.error(400, "any", "no"), "br", bytes)
    answer = compressed(claude.answer("Hello", as_stream=as_stream), "br", bytes)
    damaged = compressed(
        claude.answer("Hello", as_stream=as_stream),
        "gzip",
        lambda data: gzip.compress(data)[:20] + b"damaged" * 9,
    )
    server.answers(answer, error, damaged)
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}, ONCE) as caller:
        seen = await caller.complete(model=MODEL, stream=as_stream)
        assert (seen.status, "compressed its response (br)" in str(seen.final)) == (500, True)
        seen = await caller.complete(model=MODEL, stream=as_stream)
        assert (seen.status, "responded with status 400" in str(seen.final)) == (400, True)
        assert (await caller.complete(model=MODEL, stream=as_stream)).final["type"] == "error"


@both_ways
async def test_decompression_bomb_is_rejected(server: ScriptedServer, as_stream: bool) -> None:
    bomb = gzip.compress(b"data: " + b" " * 64 * 1024 * 1024)
    head = f"HTTP/1.1 200 X\r\ncontent-encoding: gzip\r\ncontent-length: {len(bomb)}\r\n\r\n"
    server.answers([head.encode() + bomb])
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}, ONCE) as caller:
        seen = await caller.complete(model=MODEL, stream=as_stream)
    assert (seen.status, "response is too large" in str(seen.final)) == (500, True)


def test_decoder_returns_all_bytes_in_bounded_slices() -> None:
    data = bytes(range(256)) * 4000 + b"\0" * 3_000_000
    for encoding, compress in (("gzip", gzip.compress), ("deflate", raw_deflate)):
        decoder = decoder_for(encoding)
        assert decoder is not None
        slices = list(decoder.push(compress(data)))
        assert b"".join(slices) == data
        assert max(map(len, slices)) <= 64 * 1024
    for unknown in ("br", "zstd", "gzip, gzip", "x"):
        with pytest.raises(NotReadable):
            decoder_for(unknown)


async def test_connect_timeout_covers_the_name_lookup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", never)
    upstream = MessagesUpstream(base_url="http://far.example", connect_timeout_s=0.1)
    async with caller_of({"a": upstream}, ONCE) as caller, asyncio.timeout(5):
        assert (await caller.complete(model=MODEL)).status == 504


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], id="another protocol"),
        pytest.param([b"HTTP/1.1 200 X\r\nx: " + b"y" * 99_999 + b"\r\n\r\n"], id="a long header"),
        pytest.param([b"HTTP/1.1 200 X\r\ncontent-length: x\r\n\r\n"], id="a wrong length"),
        pytest.param([b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"], id="chunks"),
    ],
)
async def test_invalid_http_is_an_upstream_error(
    server: ScriptedServer, script: list[Step]
) -> None:
    server.answers(script)
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}, ONCE) as caller:
        seen = await caller.complete(model=MODEL)
        assert (seen.status, seen.final["error"]["type"]) == (500, "api_error")
        assert "The upstream" in seen.final["error"]["message"]
        assert caller.engine.health().upstreams["a"].failures == 1


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/v3", "/v3/chat/completions"),
        ("/api/v3", "/api/v3/chat/completions"),
        ("/api/paas/v4/", "/api/paas/v4/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
        ("/openai/v1", "/openai/v1/chat/completions"),
        ("/proxy", "/proxy/v1/chat/completions"),
        ("/v1/proxy", "/v1/proxy/v1/chat/completions"),
        ("/v3/v1", "/v3/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions", "/chat/completions"),
    ],
)
async def test_base_url_with_a_version_is_used_unchanged(
    server: ScriptedServer, base: str, path: str, tmp_path: Any
) -> None:
    from tenuto.settings import load

    file = tmp_path / "tenuto.toml"
    file.write_text(
        '[engine]\nname = "routes"\n'
        f'[engine.upstreams.a]\nkind = "openai"\nchat = true\nbase_url = "{server.url}{base}"\n'
        f'[engine.upstreams.b]\nkind = "messages"\nbase_url = "{server.url}/v3"\n'
        f'[engine.upstreams.c]\nkind = "tenuto"\nbase_url = "{server.url}/v3"\n'
    )
    upstreams = load(file, {}).engine.upstreams
    for name, expected in (("a", path), ("b", "/v3/messages"), ("c", "/v3/complete")):
        async with caller_of({name: upstreams[name]}) as caller:
            await caller.complete()
        assert server.requests[-1].path == expected


async def test_a_password_is_sent_as_basic_authentication(server: ScriptedServer) -> None:
    upstream = MessagesUpstream(base_url=server.url, basic_auth="user:hunter2", api_key="k")
    async with caller_of({"a": upstream}) as caller:
        assert (await caller.complete(model=MODEL)).status == 200
    headers = server.requests[0].headers
    assert (headers["authorization"], headers["x-api-key"]) == ("Basic dXNlcjpodW50ZXIy", "k")


async def test_ipv6_address_is_connected() -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("no IPv6 here")
    scripted = ScriptedServer().answers(claude.message("Hi"))
    server = await asyncio.start_server(scripted.serve, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    async with caller_of({"a": MessagesUpstream(base_url=f"http://[::1]:{port}")}) as caller:
        assert (await caller.complete(model=MODEL)).text == " Hi"
    server.close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    return monkeypatch


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "proxy", ["socks5://u:hunter2@127.0.0.1:1", "socks5h://x:1", "http://[", ":"]
)
def test_unusable_proxy_is_reported_at_start(
    environment: pytest.MonkeyPatch, variable: str, proxy: str
) -> None:
    environment.setenv(variable, proxy)
    with pytest.raises(ModelError) as caught:
        proxy_for("http://far.example:8000")
    text = str(caught.value)
    assert text.startswith(f"{variable} names ")
    assert "add far.example to NO_PROXY" in text
    assert "hunter2" not in text
    # No proxy is needed on this machine, nor where it is exempt.
    for here in ("http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "http://a.localhost"):
        assert proxy_for(here) is None
    for exempt in ("far.example", "far.example:8000", ".example", "*"):
        environment.setenv("NO_PROXY", exempt)
        assert proxy_for("http://far.example:8000") is None
    environment.setenv("NO_PROXY", "far.example:9")
    with pytest.raises(ModelError):
        proxy_for("http://far.example:8000")


async def test_proxy_is_used_and_an_unreachable_one_is_logged(
    server: ScriptedServer, environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("HTTP_PROXY", server.url.removeprefix("http://"))
    far = MessagesUpstream(base_url="http://far.example/v1")
    async with caller_of({"a": far}) as caller:
        assert (await caller.complete(model=MODEL)).status == 200
    assert server.requests[0].path == "http://far.example/v1/messages"
    environment.setenv("HTTP_PROXY", "http://u:hunter2@127.0.0.1:1")
    async with caller_of({"a": far}, ONCE) as caller:
        seen = await caller.complete(model=MODEL)
        assert (seen.status, "cannot be reached" in str(seen.final)) == (500, True)
    assert "through the proxy of HTTP_PROXY" in caplog.text
    assert "hunter2" not in caplog.text


async def test_malformed_request_id_is_not_logged(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answers(whole(b"", 500, request_id="x y\x1b[31m"), whole(b"", 500, request_id="req_1"))
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}, ONCE) as caller:
        await caller.complete(model=MODEL)
        await caller.complete(model=MODEL)
    assert "x y" not in caplog.text
    assert "its request id req_1" in caplog.text


async def test_body_after_the_final_event_is_drained_up_to_a_limit(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_DRAIN_BYTES", 1000)
    chunk = b"%x\r\n%b\r\n" % (500, b": " + b"x" * 498)
    steps = [*claude.streamed("Hi")[:-1], *[chunk] * 400]
    server.answers(steps)
    async with caller_of({"a": OpenAIUpstream(base_url=server.url)}):
        pass
    async with caller_of({"a": MessagesUpstream(base_url=server.url)}) as caller:
        assert (await caller.complete(model=MODEL, stream=True)).text == " Hi"
        async with asyncio.timeout(3):
            await server.left.wait()
