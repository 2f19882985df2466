"""Broken bytes to the socket of a server: it must go on answering, and never with a 5xx."""

from __future__ import annotations

import asyncio
import collections
import json
import random
import re

from tenuto.engine.echo import EchoEngine
from tenuto.server.listening import listen
from tenuto.server.serve import build_server
from tenuto.settings import LimitSettings, ServerSettings, Settings

_BODY = json.dumps(
    {
        "model": "any",
        "prompt": "\n\nHuman: one two three\n\nAssistant:",
        "max_tokens_to_sample": 9,
        "stream": True,
    }
).encode()
_WHOLE = (
    b"POST /v1/complete HTTP/1.1\r\nhost: localhost\r\nanthropic-version: 2023-06-01\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
_HEAD, _, _ = _WHOLE.partition(b"\r\n\r\n")
# What clients and proxies send beside what they should, and what some leave out.
_EXTRA_LINES = (
    b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQ",
    b"upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: x",
    b"anthropic-version: 2023-06-01",
    b"anthropic-version: 2023-01-01",
    b"host: localhost",
    b"host: other.test",
    b"content-length: %d" % len(_BODY),
    b"content-length: 7",
    b"content-length: -1",
    b"content-length: " + b"9" * 40,
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
    b"expect: 100-continue",
    b"expect: nonsense",
    b"connection: keep-alive",
    b"x-api-key: \xff\xfe",
    b"cookie: " + b"a" * 20_000,
    b" folded: line",
    b"no colon",
    b": no name",
)
_SECONDS = 10.0
_AT_ONCE = 64


def main(count: int) -> None:
    """Send a number of broken requests.

    Raises:
        AssertionError: One was answered with a server error, or a sound one not answered.
    """
    asyncio.run(_main(count))


async def _main(count: int) -> None:
    # Short, because a request that is cut short keeps its connection until it is given up.
    limits = LimitSettings(head_timeout_s=0.05, body_timeout_s=0.05)
    settings = Settings(server=ServerSettings(port=0, keep_alive_s=0.05), limits=limits)
    listener = listen(settings.server)
    port = listener.getsockname()[1]
    server = build_server(settings, EchoEngine())
    serving = asyncio.create_task(server.serve([listener]))
    rng = random.Random(1)
    statuses: collections.Counter[str] = collections.Counter()
    try:
        for _ in range(0, count, _AT_ONCE):
            broken = [_break(rng) for _ in range(_AT_ONCE)]
            for answer in await asyncio.gather(*(_exchange(port, each) for each in broken)):
                status = answer[9:12].decode("latin-1") if answer else "closed"
                statuses[status] += 1
                assert not re.search(rb"HTTP/1\.[01] 5\d\d ", answer), answer
        answer = await _exchange(port, _WHOLE)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"stop_reason":"stop_sequence"' in answer
    finally:
        server.should_exit = True
        await serving
    print(f"{sum(statuses.values()):,} malformed requests: {dict(sorted(statuses.items()))}")


def _break(rng: random.Random) -> bytes:
    """A sound request with a few of its bytes changed, lost, doubled or made up."""
    kind = rng.randrange(9)
    if kind >= 4:
        return _as_some_clients(kind, rng)
    if kind == 0:
        return rng.randbytes(rng.randint(0, 200))
    if kind == 1:
        return _WHOLE[: rng.randrange(len(_WHOLE))]
    broken = bytearray(_WHOLE)
    # Mostly in the head: what is wrong in the body is the other fuzzer's.
    head = len(_WHOLE) - len(_BODY)
    for _ in range(rng.randint(1, 8)):
        at = rng.randrange(head if kind == 2 else len(broken))
        broken[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
    return bytes(broken)


def _as_some_clients(kind: int, rng: random.Random) -> bytes:
    """A request with other lines in its head, of another version, or not alone."""
    if kind == 4:  # Lines that are twice there, contradict each other, or ask for an upgrade.
        lines = _HEAD.split(b"\r\n")
        for line in rng.sample(_EXTRA_LINES, rng.randint(1, 3)):
            lines.insert(rng.randint(1, len(lines)), line)
        return b"\r\n".join(lines) + b"\r\n\r\n" + _BODY
    if kind == 5:
        version = rng.choice((b"HTTP/1.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b""))
        return _WHOLE.replace(b"HTTP/1.1", version, 1)
    if kind == 6:  # Pipelined, of which the last may be cut or be something else.
        first = _WHOLE.replace(b"connection: close", b"connection: keep-alive")
        last = rng.choice((_WHOLE, _WHOLE[: rng.randrange(len(_WHOLE))], rng.randbytes(50)))
        return first * rng.choice((1, 2, 3, 20)) + last
    if kind == 7:  # In chunks, some of them wrong.
        head = _HEAD.replace(b"content-length: %d" % len(_BODY), b"transfer-encoding: chunked")
        sizes = (b"%x" % len(_BODY), b"0", b"-1", b"zz", b"f" * 20, b"5;" + b"a" * 9000, b"")
        size = rng.choice(sizes)
        return head + b"\r\n\r\n" + size + b"\r\n" + _BODY + b"\r\n0\r\nx: y\r\n\r\n"
    method = rng.choice((b"GET", b"HEAD", b"CONNECT", b"OPTIONS", b"TRACE", b"PRI", b"post"))
    target = rng.choice(
        (b"*", b"/", b"/v1/complete?x=%zz", b"http://a/v1/complete", b"//x", b"\xff")
    )
    return _WHOLE.replace(b"POST /v1/complete", method + b" " + target, 1)


async def _exchange(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(_SECONDS):
            return await reader.read(-1)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
