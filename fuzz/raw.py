"""Broken bytes to the socket of a server: it must go on answering, and never with a 5xx."""

from __future__ import annotations

import asyncio
import collections
import json
import random

from tenuto.engine.echo import EchoEngine
from tenuto.server.serve import build_server, listen
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
_SECONDS = 10.0
_AT_ONCE = 64


def main(count: int) -> None:
    """Sends so many broken requests.

    Raises:
        AssertionError: One was answered with a server error, or a sound one not answered.
    """
    asyncio.run(_main(count))


async def _main(count: int) -> None:
    # Short, because a request that is cut short keeps its connection until it is given up.
    limits = LimitSettings(head_timeout_s=0.05, body_timeout_s=0.05)
    settings = Settings(server=ServerSettings(port=0), limits=limits)
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
                assert not status.startswith("5"), answer
        answer = await _exchange(port, _WHOLE)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b'"stop_reason":"stop_sequence"' in answer
    finally:
        server.should_exit = True
        await serving
    print(f"{sum(statuses.values()):,} malformed requests: {dict(sorted(statuses.items()))}")


def _break(rng: random.Random) -> bytes:
    """A sound request with a few of its bytes changed, lost, doubled or made up."""
    kind = rng.randrange(4)
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
