"""Adds a header to whatever response comes."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send


def with_header(send: Send, name: str, value: str) -> Send:
    """The same channel, on which every response has one header more."""

    async def send_with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)[name] = value
        await send(message)

    return send_with_header
