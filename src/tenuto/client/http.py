"""One completion from a server, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tenuto.wire.errors import ApiError, InternalError, error_of
from tenuto.wire.events import CompletionEvent, ErrorEvent, Event
from tenuto.wire.request import CompletionRequest
from tenuto.wire.sse import decode

# Ten minutes, as the official clients wait for a completion; five seconds to connect.
_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)


class Unreachable(Exception):
    """No answer: the server is not there, or the connection broke. The message is one line."""


async def complete(
    base_url: str, key: str | None, request: CompletionRequest
) -> Mapping[str, object]:
    """Asks for a whole completion.

    Args:
        base_url: The server, without `/v1`.
        key: The API key, if the server wants one.
        request: What to ask.

    Returns:
        The response's JSON object.

    Raises:
        ApiError: The server answered with an error.
        Unreachable: It did not answer.
    """
    async with _post(base_url, key, request, stream=False) as response:
        await response.aread()
        body: Mapping[str, object] = response.json()
        return body


async def stream(
    base_url: str, key: str | None, request: CompletionRequest
) -> AsyncGenerator[Event, None]:
    """Asks for a completion, yields its events as they come. Closing it cancels.

    Args: as of `complete`.

    Raises:
        ApiError: The server answered with an error, at once or in the middle.
        Unreachable: It did not answer, or not to the end.
    """
    async with _post(base_url, key, request, stream=True) as response:
        async for sse in httpx2.EventSource(response):
            event = decode(sse.event, sse.data)
            if isinstance(event, ErrorEvent):
                raise event.error
            if event is not None:
                yield event
            if isinstance(event, CompletionEvent) and event.stop_reason is not None:
                return
    raise InternalError("The stream broke off: it ended without a reason.")


@asynccontextmanager
async def _post(
    base_url: str, key: str | None, request: CompletionRequest, *, stream: bool
) -> AsyncGenerator[httpx2.Response, None]:
    fields: dict[str, Any] = request.model_dump(exclude_unset=True) | {"stream": stream}
    headers = {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})
    url = base_url.rstrip("/") + "/v1/complete"
    try:
        async with (
            httpx2.AsyncClient(timeout=_TIMEOUT) as http,
            http.stream("POST", url, json=fields, headers=headers) as response,
        ):
            if response.is_error:
                raise await _error(response)
            yield response
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise Unreachable(f"{url}: {error or type(error).__name__}") from None


async def _error(response: httpx2.Response) -> ApiError:
    await response.aread()
    try:
        body = response.json()
    except ValueError:
        body = None
    return error_of(response.status_code, body)
