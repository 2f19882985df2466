"""Bytes on a socket that do not become a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tenuto.engine.echo import EchoEngine
from tenuto.server.listening import listen
from tenuto.server.serve import build_server
from tenuto.settings import LimitSettings, ServerSettings, Settings
from tests.server.test_endpoint import BODY

pytestmark = pytest.mark.anyio

LIMITS = LimitSettings(
    max_header_bytes=2048, head_timeout_s=0.2, body_timeout_s=0.2, max_connections=8
)


@asynccontextmanager
async def listening(
    limits: LimitSettings = LIMITS, engine: EchoEngine | None = None, **server_settings: Any
) -> AsyncGenerator[int]:
    """Run a server with an echo engine; yield its port."""
    settings = Settings(server=ServerSettings(port=0, **server_settings), limits=limits)
    listener = listen(settings.server)
    server = build_server(settings, engine or EchoEngine())
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def exchange(port: int, data: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        try:
            answer = await reader.read(-1)
        except ConnectionResetError:
            answer = b""
    writer.close()
    return answer


def request(body: bytes, length: int | None = None) -> bytes:
    return (
        b"POST /v1/complete HTTP/1.1\r\nhost: localhost\r\nanthropic-version: 2023-06-01\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % (length or len(body))
    ) + body


def parts(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(body)


def assert_refused(answer: bytes, status: int, message: str) -> None:
    got, body = parts(answer)
    assert got == status
    assert body["type"] == "error"
    assert message in body["error"]["message"]
    assert f"request-id: {body['request_id']}\r\n".encode() in answer


async def test_invalid_http_is_rejected_in_the_error_envelope() -> None:
    async with listening() as port:
        assert_refused(await exchange(port, b"HELLO\r\n\r\n"), 400, "Invalid HTTP request")


async def test_endless_head_is_rejected() -> None:
    async with listening() as port:
        endless = b"GET /health HTTP/1.1\r\nx: " + b"a" * 100_000
        assert_refused(await exchange(port, endless), 431, "2048 bytes")


async def test_head_timeout_is_a_408() -> None:
    async with listening() as port:
        assert_refused(await exchange(port, b"POST /v1/com"), 408, "head did not arrive")


async def test_head_timeout_applies_to_later_requests() -> None:
    async with listening() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(json.dumps(BODY).encode()).replace(b"connection: close", b"x: y"))
        async with asyncio.timeout(10):
            await reader.readuntil(b"}")
            writer.write(b"POST /v1")
            assert_refused(await reader.read(-1), 408, "head did not arrive")
        writer.close()


async def test_body_timeout_is_a_408() -> None:
    async with listening() as port:
        assert_refused(await exchange(port, request(b"{", 100)), 408, "body did not arrive")


async def test_connection_over_the_limit_gets_an_overloaded_error() -> None:
    limits = LimitSettings(max_connections=2, head_timeout_s=5)
    async with listening(limits) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        assert_refused(await exchange(port, request(b"{}")), 529, "Too many connections")
        for _, writer in idle:
            writer.close()


async def test_closed_connection_frees_its_place() -> None:
    async with listening(LimitSettings(max_connections=1)) as port:
        for _ in range(3):
            whole = json.dumps(BODY).encode()
            assert (await exchange(port, request(whole))).startswith(b"HTTP/1.1 200 ")


async def test_connections_far_over_the_limit_are_closed_without_a_response(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tenuto.server.protocol._MOST_CROWDED", 2)
    monkeypatch.setattr("tenuto.server.protocol._CROWDED_S", 0.3)
    async with listening(LimitSettings(max_connections=1)) as port:
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        # Nothing is read, parsed or logged for it.
        assert await exchange(port, request(b"{}")) == b""
        # Those beyond the limit that do not ask soon make room for others.
        for reader, _ in open_ones[1:]:
            async with asyncio.timeout(10):
                assert await reader.read() == b""
        assert_refused(await exchange(port, request(b"{}")), 529, "Too many connections")
        # Whom the server has accepted is not disturbed.
        reader, writer = open_ones[0]
        writer.write(request(json.dumps(BODY).encode()))
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        for _, writer in open_ones:
            writer.close()


async def test_head_limit_applies_to_each_request() -> None:
    # Both heads together are over the limit, neither is alone.
    body = json.dumps(BODY).encode()
    padded = request(body).replace(b"connection: close", b"x: " + b"a" * 1500)
    async with listening(LimitSettings(max_header_bytes=2048)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(padded)
            async with asyncio.timeout(10):
                await reader.readuntil(b"\r\n\r\n")
                await reader.readuntil(b"}")
        writer.close()


async def test_slow_and_idle_clients_do_not_block_others() -> None:
    limits = LimitSettings(head_timeout_s=30, body_timeout_s=30)
    async with listening(limits) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for _, writer in idle[:100]:
            writer.write(request(b"{", 1000))
        status, body = parts(await exchange(port, request(json.dumps(BODY).encode())))
        assert (status, body["completion"]) == (200, " one two three")
        for _, writer in idle:
            writer.close()


async def test_rejection_is_readable_while_the_client_sends() -> None:
    limits = LimitSettings(max_body_bytes=100_000)
    async with listening(limits) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(b"", 150_000))
        for _ in range(15):
            await asyncio.sleep(0)  # The answer is ready from the first packet on.
            writer.write(b" " * 10_000)
            await writer.drain()
        async with asyncio.timeout(10):
            assert_refused(await reader.read(-1), 413, "100000 bytes")
        writer.close()


async def test_expect_continue_request_is_rejected_before_its_body() -> None:
    async with listening(LimitSettings(max_body_bytes=1000, body_timeout_s=60)) as port:
        head = request(b"", 5000).replace(b"connection: close", b"expect: 100-continue")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        async with asyncio.timeout(5):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()
