"""Errors before the first byte: as statuses, in the documented envelope."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tenuto.core.refusal import Kind, Refusal, failed
from tenuto.server.responses import JsonResponse
from tenuto.wire.errors import error_body, excerpt, kind_of_status, status_of

_OPENAI = ("completions", "chat/completions", "responses", "embeddings", "engines")

_log = logging.getLogger("tenuto.server")


def error_response(error: Refusal, request_id: str) -> Response:
    """The response of an error.

    `x-should-retry` tells the official clients what their own rule, by status, would not: a
    request that timed out would do so again.
    """
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if error.retryable is not None:
        headers["x-should-retry"] = str(error.retryable).lower()
    if error.kind is Kind.TOO_SLOW:
        headers["x-should-retry"] = "false"
        headers["connection"] = "close"
    return JsonResponse(error_body(error, request_id), status_of(error.kind), headers)


async def on_api_error(request: Request, error: Exception) -> Response:
    """Answers a `Refusal` that a route raised."""
    assert isinstance(error, Refusal)
    return error_response(error, request.scope["request_id"])


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answers what the router raised: an unknown route or method."""
    assert isinstance(error, HTTPException)
    path, status, headers = request.url.path, error.status_code, dict(error.headers or {})
    shown, allowed = excerpt(path), headers.get("Allow", "POST")
    messages = {
        404: f"Not Found: there is no {shown}. {remedy(path)}",
        405: f"Method Not Allowed: {excerpt(request.method)} {shown}. Send {allowed}.",
    }
    message = messages.get(status, str(error.detail))
    response = error_response(Refusal(kind_of_status(status), message), request.scope["request_id"])
    response.headers.update(headers)
    return response


def remedy(path: str) -> str:
    """What to do about a path that is not served: one or two sentences."""
    name = path.strip("/").lower()
    if name.startswith("v1/v1/"):
        return "The client adds `/v1` itself: leave it out at the end of `base_url`."
    if name.removeprefix("v1/").partition("/")[0] == "messages":
        return (
            "This server has the Text Completions API, not the Messages API: send a `prompt` with "
            "turns to POST /v1/complete."
        )
    if name.removeprefix("v1/") in _OPENAI:
        return (
            "This server has the Text Completions API, not OpenAI's: send `prompt`, `model` and "
            "`max_tokens_to_sample` to POST /v1/complete."
        )
    return "Completions are at POST /v1/complete."


async def on_bug(request: Request, error: Exception) -> Response:
    """Answers anything else, which is a bug. The log gets its trace, the client does not."""
    _log.error("unexpected error in request %s", request.scope["request_id"], exc_info=error)
    return error_response(failed("Internal server error"), request.scope["request_id"])
