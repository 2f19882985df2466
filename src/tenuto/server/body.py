"""Reads a request's body, up to a limit."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import Request

from tenuto.settings import LimitSettings
from tenuto.wire.errors import RequestTimeout, RequestTooLarge


def check_announced_size(headers: Headers, limits: LimitSettings) -> None:
    """Refuses a body that says itself that it is too large, before it comes.

    Raises:
        RequestTooLarge: It does.
    """
    announced = headers.get("content-length", "")
    # The digits are counted first: a number may be too long even to read.
    if announced.isdigit() and (len(announced) > 18 or int(announced) > limits.max_body_bytes):
        raise _too_large(limits)


async def read_body(request: Request, limits: LimitSettings) -> bytes:
    """The whole body.

    Raises:
        RequestTooLarge: It is larger than allowed.
        RequestTimeout: It took too long to arrive.
        ClientDisconnect: The client left before it was all here.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise _too_large(limits)
    except TimeoutError:
        raise RequestTimeout(
            f"The request body did not arrive within {limits.body_timeout_s:g} s"
        ) from None
    return bytes(body)


def _too_large(limits: LimitSettings) -> RequestTooLarge:
    return RequestTooLarge(f"Request exceeds the maximum size of {limits.max_body_bytes} bytes")
