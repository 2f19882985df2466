"""JSON responses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Send

from tenuto.wire.json_object import json_bytes


class JsonResponse(JSONResponse):
    """A JSON response that may hold lone surrogates: see `tenuto.core.text`."""

    def render(self, content: Any) -> bytes:
        return json_bytes(content)


async def start_response(headers: Mapping[str, str], send: Send) -> None:
    """Send the start of a response with status 200."""
    lines = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 200, "headers": lines})


async def send_json(body: bytes, headers: Mapping[str, str], send: Send) -> None:
    """Send a JSON body with status 200."""
    length = {"content-length": str(len(body)), "content-type": "application/json"}
    await start_response({**headers, **length}, send)
    await send({"type": "http.response.body", "body": body})


async def send_parts(parts: Iterable[bytes], headers: Mapping[str, str], send: Send) -> None:
    """Send a JSON body in parts. The event loop runs other tasks in between."""
    await start_response({"content-type": "application/json", **headers}, send)
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
