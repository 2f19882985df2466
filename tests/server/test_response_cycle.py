"""The head of a response, from the message of an application to bytes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from tenuto.server.response_cycle import ResponseCycle

pytestmark = pytest.mark.anyio


class KeptBytes(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


async def head_of(*headers: tuple[bytes, bytes]) -> bytes:
    """Return the head of a response with some headers."""
    transport, log = KeptBytes(), logging.getLogger("test")
    scope: Any = {"type": "http", "method": "GET", "http_version": "1.1", "headers": []}
    cycle = ResponseCycle(
        scope=scope,
        transport=transport,
        flow=FlowControl(transport),
        logger=log,
        access_logger=log,
        access_log=False,
        default_headers=[(b"server", b"tenuto")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )
    cycle.more_body = False
    await cycle.send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    await cycle.send({"type": "http.response.body", "body": b"{}"})
    return transport.written


async def test_headers_are_lines_in_their_order() -> None:
    head = await head_of((b"content-length", b"2"), (b"note", b"a\tb \xe9"))
    assert head == (
        b"HTTP/1.1 200 OK\r\nserver: tenuto\r\ncontent-length: 2\r\nnote: a\tb \xe9\r\n\r\n{}"
    )


@pytest.mark.parametrize(
    "text", [b"a\r\nset-cookie: b", b"a\n", b"\r", b"a\0", b"\x7f", b"\x1b[0m"]
)
async def test_a_value_cannot_end_its_line(text: bytes) -> None:
    with pytest.raises(RuntimeError, match="unprintable value of the header b'note'"):
        await head_of((b"content-length", b"2"), (b"note", text))
    with pytest.raises(RuntimeError, match="unprintable"):
        await head_of((text, b"note"))
