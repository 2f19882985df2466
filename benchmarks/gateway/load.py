"""Send requests at the speed of the responses, with minimal parsing."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import cast

_QUESTION = "Tell me about the history of the harbour, its ships and its people, please. " * 11
"""About 850 bytes."""


def request_to(
    path: str, *, stream: bool, paced: bool, headers: str = "", differing: bool = False
) -> bytes:
    """A request, head and body."""
    manner = f"{'paced ' if paced else ''}{'differing ' if differing else ''}"
    prompt = f"\n\nHuman: {manner}{_QUESTION}\n\nAssistant:"
    if path == "/v1/complete":
        fields: dict[str, object] = {"prompt": prompt, "max_tokens_to_sample": 256}
    else:
        content = prompt.removeprefix("\n\nHuman: ").removesuffix("\n\nAssistant:")
        fields = {"messages": [{"role": "user", "content": content}], "max_tokens": 256}
    body = json.dumps({"model": "claude-haiku-4-5", "stream": stream, **fields}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"anthropic-version: 2023-06-01\r\n{headers}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(slots=True)
class Result:
    """Result of a run.

    Attributes:
        seconds: How long all of it took.
        latencies: How long each request took, in seconds.
    """

    seconds: float
    latencies: list[float]


class _Client(asyncio.Protocol):
    """One connection: a request after another."""

    def __init__(self, request: bytes, left: list[int], done: asyncio.Future[None]) -> None:
        self._request = request
        self._left = left
        self._done = done
        self.latencies: list[float] = []
        self._tail = b""
        self._length = -1
        self._got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is not derived from it.
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        if self._left[0] <= 0:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._left[0] -= 1
        self._tail, self._length, self._got = b"", -1, 0
        self._started = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._length < 0 and not self._got:
            head = data.lower()
            if not data.startswith(b"HTTP/1.1 200"):
                raise AssertionError(data[:500])
            _, found, rest = head.partition(b"content-length:")
            if found:
                self._length = int(rest.partition(b"\r\n")[0])
                self._got = len(data) - data.index(b"\r\n\r\n") - 4
                data = b""
        self._got += len(data)
        if self._length >= 0:
            whole = self._got >= self._length
        else:
            self._tail = (self._tail + data)[-16:]
            whole = self._tail.endswith(b"0\r\n\r\n")
        if whole:
            self.latencies.append(time.perf_counter() - self._started)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))


async def load(
    port: int, request: bytes, *, connections: int, requests: int, host: str = "127.0.0.1"
) -> Result:
    """Send a number of requests over a number of connections."""
    loop = asyncio.get_running_loop()
    left = [requests]
    started = time.perf_counter()
    clients: list[_Client] = []
    waits: list[asyncio.Future[None]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        client = _Client(request, left, done)
        await loop.create_connection(lambda client=client: client, host, port)  # type: ignore[misc]
        clients.append(client)
        waits.append(done)
    await asyncio.gather(*waits)
    seconds = time.perf_counter() - started
    return Result(seconds, [latency for client in clients for latency in client.latencies])
