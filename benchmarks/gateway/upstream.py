"""A server of the Messages API that answers at once: as cheap as asyncio allows.

    python -m benchmarks.gateway.upstream PORT

The prompt says how: with "paced" in it, a stream's events come 10 ms apart, else all in one write;
with "differing" in it, no two of 16 answers in turn have the same words.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from itertools import cycle

import uvloop

from benchmarks.gateway.answering import Answering

EVENTS = 128
"""Events with text in a stream, and words in a plain answer."""
PACE_S = 0.01

_WORD = " word"


def _event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_USAGE = {"input_tokens": 200, "output_tokens": EVENTS}
_MESSAGE = {
    "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": ""}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _USAGE,
}
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_START = _event("message_start", message=_MESSAGE | {"content": [], "stop_reason": None}) + _event(
    "content_block_start", index=0, content_block={"type": "text", "text": ""}
)
_END = (
    _event("content_block_stop", index=0)
    + _event(
        "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=_USAGE
    )
    + _event("message_stop")
)


def _plain(words: Sequence[str]) -> bytes:
    content = [{"type": "text", "text": "".join(words).strip()}]
    body = json.dumps(_MESSAGE | {"content": content}).encode()
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
    return f"{head}{len(body)}\r\n\r\n".encode() + body


def _delta(word: str) -> bytes:
    return _event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})


def _burst(words: Sequence[str]) -> bytes:
    deltas = b"".join(_chunk(_delta(word)) for word in words)
    return _HEAD + _chunk(_START) + deltas + _chunk(_END) + b"0\r\n\r\n"


_SAME = [_WORD] * EVENTS
_DIFFERING = [[f" w{n * number % 997}" for n in range(EVENTS)] for number in range(3, 51, 3)]
_PLAIN, _BURST, _DELTA = _plain(_SAME), _burst(_SAME), _delta(_WORD)
_PLAINS, _BURSTS = cycle(map(_plain, _DIFFERING)), cycle(map(_burst, _DIFFERING))


class _Server(Answering):
    def answer(self, head: bytes, body: bytes) -> None:
        # The one field that matters, in either spelling of JSON.
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self.transport.write(next(_PLAINS) if b"differing" in body else _PLAIN)
        elif b"paced" not in body:
            self.transport.write(next(_BURSTS) if b"differing" in body else _BURST)
        else:
            self.transport.write(_HEAD + _chunk(_START))
            self._next(0, asyncio.get_running_loop().time())

    def _next(self, sent: int, started: float) -> None:
        if self.transport.is_closing():
            return
        if sent == EVENTS:
            self.transport.write(_chunk(_END) + b"0\r\n\r\n")
            return
        self.transport.write(_chunk(_DELTA))
        when = started + (sent + 1) * PACE_S
        asyncio.get_running_loop().call_at(when, self._next, sent + 1, started)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
