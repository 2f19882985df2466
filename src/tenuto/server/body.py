"""Reads a request's body, up to a limit."""

from __future__ import annotations

from starlette.requests import Request

from tenuto.wire.errors import RequestTooLarge


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Args:
        request: Whose body.
        limit: Most bytes to accept.

    Raises:
        RequestTooLarge: It is larger, or says so before it comes.
        ClientDisconnect: The client left before it was all here.
    """
    too_large = RequestTooLarge(f"Request exceeds the maximum size of {limit} bytes")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)
