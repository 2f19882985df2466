"""The least that a Python gateway can do: ASGI on uvicorn, aiohttp, and templates of bytes.

It checks nothing, matches no stop sequences, and knows no errors: a limit, not a design.

    UPSTREAM=http://127.0.0.1:PORT uvicorn benchmarks.gateway.bare:app
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

Message = MutableMapping[str, Any]
_URL = os.environ.get("UPSTREAM", "") + "/v1/messages"
_HEADERS = {"content-type": "application/json", "accept-encoding": "identity"}
_TEXT = b'"text_delta", "text": '

_session: aiohttp.ClientSession | None = None


def _opened() -> aiohttp.ClientSession:
    global _session
    if _session is None:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
    return _session


def _translate(body: bytes) -> bytes:
    fields = json.loads(body)
    text = fields["prompt"].removeprefix("\n\nHuman: ").removesuffix("\n\nAssistant:")
    return json.dumps(
        {
            "model": fields["model"],
            "max_tokens": fields["max_tokens_to_sample"],
            "messages": [{"role": "user", "content": text}],
            "stream": fields.get("stream", False),
        },
        separators=(",", ":"),
    ).encode()


def _events(data: bytes) -> bytes:
    """Each event with text, as one of Text Completions: what stands between two marks."""
    out = []
    for piece in data.split(_TEXT)[1:]:
        text = piece[: piece.index(b"}")]
        out.append(
            b'event: completion\ndata: {"type": "completion", "completion": %b, '
            b'"stop_reason": null}\n\n' % text
        )
    return b"".join(out)


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """The ASGI application."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    fields = _translate(body)
    async with _opened().post(_URL, data=fields, headers=_HEADERS) as response:
        if b'"stream":true' not in fields:
            message = json.loads(await response.read())
            answer = json.dumps(
                {"type": "completion", "completion": " " + message["content"][0]["text"]}
            ).encode()
            head = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(answer)),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": answer})
            return
        head = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async for data in response.content.iter_any():
            if events := _events(data):
                await send({"type": "http.response.body", "body": events, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
