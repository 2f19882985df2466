"""What a request costs the server: memory, and how long it keeps the event loop.

    python -m tests.server.resources [MIB]

prints the figures of every shape of body at a size, 32 MiB by default: alone, and 64 at once.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tenuto.engine.echo import EchoEngine
from tenuto.server.app import create_app
from tenuto.settings import ApiSettings, LimitSettings, Settings

MIB = 2**20
MOST_STALL_MS = 50.0
LARGEST_BODY = 32 * MIB
_PACKET = 64 * 1024


def most_memory(size: int) -> int:
    """Return the most bytes of memory that a request with a body of this size may take."""
    return 4 * size + 16 * MIB


@dataclass(frozen=True)
class Shape:
    """A kind of body, of any size.

    Attributes:
        head: How it begins.
        unit: What is repeated.
        tail: How it ends.
        status: Of the answer.
        version: Of the API.
        packet: How many bytes arrive at once.
    """

    head: bytes
    unit: bytes
    tail: bytes
    status: int = 400
    version: str = "2023-06-01"
    packet: int = _PACKET

    def body(self, size: int) -> bytes:
        room = size - len(self.head) - len(self.tail)
        return self.head + self.unit * (room // len(self.unit)) + self.tail


_FIELDS = b'{"model":"m","max_tokens_to_sample":3,"prompt":'
# So many words that the answer ends before what is repeated.
_BEGIN = _FIELDS + rb'"\n\nHuman: one two three '
_END = rb'\n\nAssistant:"}'
_SMALL = b'{"model":"m","max_tokens_to_sample":3,"prompt":"\\n\\nHuman: Hi\\n\\nAssistant:",'


def _prompt(unit: bytes, *, before: bytes = b"", end: bytes = _END, status: int = 200) -> Shape:
    return Shape(_BEGIN + before, unit, end, status)


def _field(name: bytes, opening: bytes, unit: bytes, closing: bytes) -> Shape:
    return Shape(_SMALL + b'"' + name + b'":' + opening, unit, closing + b"}")


_EMOJI = "😀".encode()

SHAPES: dict[str, Shape] = {
    "prompt, letters": _prompt(b"a"),
    "prompt, words": _prompt(b"word "),
    "prompt, one emoji among letters": _prompt(b"a", before=_EMOJI),
    "prompt, one emoji in each 64 KiB": _prompt(b"a" * 65_000 + _EMOJI),
    "prompt, two-byte letters": _prompt("я".encode()),
    "prompt, mixed widths": _prompt("aя".encode()),
    "prompt, emoji": _prompt(_EMOJI),
    "prompt, escaped letters": _prompt(rb"\u0041"),
    "prompt, escaped emoji": _prompt(rb"\ud83d\ude00"),
    "prompt, quotes": _prompt(rb"\""),
    "prompt, backslashes": _prompt(rb"\\"),
    "prompt, control characters": _prompt(rb"\u0000"),
    "prompt, newlines": _prompt(rb"\n"),
    "prompt, carriage returns": _prompt(rb"\r"),
    "prompt, line ends of Windows": _prompt(rb"\r\n"),
    "prompt, escaped line ends": _prompt(rb"\u000d\u000a"),
    "prompt, spaces": _prompt(b" "),
    "prompt, spaces at the end": Shape(_BEGIN + rb"\n\nAssistant:", b" ", b'"}', 200),
    "prompt, half-turns": _prompt(rb"\nHuman:"),
    "prompt, colons": _prompt(b"Human:"),
    "prompt, all in one packet": Shape(_BEGIN, b"word ", _END, 200, packet=LARGEST_BODY),
    "prompt, in small packets": Shape(_BEGIN, b"word ", _END, 200, packet=1500),
    "prompt, marks only": _prompt(rb"\n\nHuman:", status=400),
    "prompt, short turns": _prompt(rb"\n\nAssistant: b\n\nHuman: a", status=400),
    "prompt, no turns": Shape(_FIELDS + b'"', b"word ", b'"}'),
    "prompt, no last turn": _prompt(b"word ", end=b'"}', status=400),
    "prompt, half surrogates": _prompt(rb"\ud83d", status=400),
    "prompt, other halves": _prompt(rb"\ude00\ud83d", status=400),
    "prompt, a list": Shape(_FIELDS + b"[", b'"a",', b"0]}"),
    "prompt, an object": Shape(_FIELDS + b"{", b'"a":0,', b'"b":0}}'),
    "prompt, many times": Shape(_SMALL, b'"prompt":"' + b"a" * 20_000 + b'",', b'"top_k":1}'),
    "prompt, never ends": _prompt(b"a", end=b"", status=400),
    "prompt, a control character": _prompt(b"a", end=b'\n"}', status=400),
    "prompt, no UTF-8": _prompt(b"a", end=b'\xff"}', status=400),
    "prompt, half an escape": _prompt(b"a", end=rb"\u12", status=400),
    "model": _field(b"model", b'"', b"m", b'"'),
    "model, a list": _field(b"model", b"[", b"[],", b"0]"),
    "stop_sequences, short": _field(b"stop_sequences", b"[", b'"a",', b'"a"]'),
    "stop_sequences, one": _field(b"stop_sequences", b'["', b"a", b'"]'),
    "stop_sequences, long": _field(b"stop_sequences", b"[", b'"' + b"a" * 4096 + b'",', b'"a"]'),
    "stop_sequences, empty": _field(b"stop_sequences", b"[", b'"",', b'""]'),
    "stop_sequences, numbers": _field(b"stop_sequences", b"[", b"1,", b"1]"),
    "stop_sequences, lists": _field(b"stop_sequences", b"[", b"[],", b"[]]"),
    "stop_sequences, objects": _field(b"stop_sequences", b"[", b"{},", b"{}]"),
    "stop_sequences, nulls": _field(b"stop_sequences", b"[", b"null,", b"null]"),
    "stop_sequences, a text": _field(b"stop_sequences", b'"', b"a", b'"'),
    "metadata": _field(b"metadata", b'{"user_id":"', b"u", b'"}'),
    "metadata, unknown": _field(b"metadata", b"{", b'"":0,', b'"a":0}'),
    "tags": Shape(_SMALL + b'"tags":{', b'"":"",', b'"a":"b"}}', version="2023-01-01"),
    "temperature, digits": _field(b"temperature", b"0.", b"1", b""),
    "top_k, digits": _field(b"top_k", b"", b"9", b""),
    "stream, a list": _field(b"stream", b"[", b"0.5,", b"0]"),
    "unknown fields": Shape(_SMALL, b'"":0,', b'"b":0}'),
    "unknown field, long name": Shape(_SMALL + b'"', b"k", b'":0}'),
    "unknown field, escaped name": Shape(_SMALL + b'"', rb"\ud83d", b'":0}'),
    "unknown field, nested": _field(b"foo", b"[", b"[[]],", b"0]"),
    "deep lists": _field(b"foo", b"", b"[", b""),
    "deep objects": _field(b"foo", b"", b'{"a":', b""),
    "white space": Shape(_SMALL, b" \n", b'"top_k":1}', 200),
    "white space around a value": Shape(_SMALL + b'"top_k":1', b"\t", b"}", 200),
    "nothing but a number": Shape(b"", b"9", b""),
    "nothing but brackets": Shape(b"", b"[", b""),
    "nothing but quotes": Shape(b"", b'"', b""),
    "nothing but backslashes": Shape(b"", b"\\", b""),
    "nothing but zeros": Shape(b"", b"\0", b""),
}


@dataclass(frozen=True)
class Cost:
    """What requests took.

    Attributes:
        statuses: Of the answers.
        stall_ms: The most time of this thread's CPU between two rounds of the loop. On a busy
            machine the clock on the wall would tell of its other programs.
        memory: The peak of the memory that was allocated.
    """

    statuses: tuple[int, ...]
    stall_ms: float
    memory: int


def app_of(most: int = LARGEST_BODY, **limits: int) -> Any:
    """The application with an echo engine, with extensions."""
    settings = Settings(
        limits=LimitSettings(max_body_bytes=most, **limits), api=ApiSettings(extensions=True)
    )
    return create_app(settings, EchoEngine())


async def ask(app: Any, body: bytes, version: str = "2023-06-01", packet: int = _PACKET) -> int:
    """Send a body as packets, drop the answer; returns the status."""
    sent = 0
    status = 0
    answered = asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent < len(body):
            part = body[sent : sent + packet]
            sent += len(part)
            # From a socket no two packets come in one round.
            await asyncio.sleep(0)
            return {"type": "http.request", "body": part, "more_body": sent < len(body)}
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif not message.get("more_body", False):
            answered.set()

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/complete",
        "query_string": b"",
        "headers": [(b"anthropic-version", version.encode()), (b"host", b"localhost")],
    }
    await app(scope, receive, send)
    return status


async def _ask_all(
    app: Any, bodies: Sequence[bytes], shape: Shape
) -> tuple[tuple[int, ...], float]:
    worst = 0.0

    async def tick() -> None:
        nonlocal worst
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            worst = max(worst, now - last)
            last = now

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    asks = [ask(app, body, shape.version, shape.packet) for body in bodies]
    statuses = await asyncio.gather(*asks)
    ticking.cancel()
    return tuple(statuses), 1000 * worst


def cost(
    shape: Shape, size: int, *, count: int = 1, most: int = LARGEST_BODY, memory: bool = True
) -> Cost:
    """Measure requests of one shape, all at once. Without `memory` it counts as 0."""
    bodies = [shape.body(size)] * count
    app = app_of(most)
    asyncio.run(_ask_all(app, [shape.body(4096)], shape))  # what is only imported once
    with _CleanHeap():
        statuses, stall_ms = asyncio.run(_ask_all(app, bodies, shape))
        peak = 0
        if memory:
            tracemalloc.start()
            try:
                asyncio.run(_ask_all(app, bodies, shape))
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
    return Cost(statuses, stall_ms, peak)


class _CleanHeap:
    """The objects of the test run are none of the server's: as `serve` does, they are frozen."""

    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()

    def __exit__(self, *_: object) -> None:
        gc.unfreeze()


def main(mib: float) -> None:
    """Print the figures of all shapes."""
    size = int(mib * MIB)
    print(f"{'bodies of ' + format(mib, 'g') + ' MiB':36} {'alone':>22} {'64 at once':>30}")
    for name, shape in SHAPES.items():
        alone = cost(shape, size)
        many = cost(shape, size, count=64)
        statuses = {status: many.statuses.count(status) for status in sorted(set(many.statuses))}
        print(
            f"{name:36} {alone.stall_ms:6.1f} ms {alone.memory / MIB:7.1f} MiB"
            f"  {many.stall_ms:6.1f} ms {many.memory / MIB:7.1f} MiB  {alone.statuses} {statuses}",
            flush=True,
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else LARGEST_BODY / MIB)
