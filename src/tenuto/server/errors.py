"""Errors before the first byte: as statuses, in the documented envelope."""

from __future__ import annotations

import logging
import math

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tenuto.wire.errors import ApiError, InternalError, RequestTimeout, excerpt, for_status

_log = logging.getLogger("tenuto.server")


def error_response(error: ApiError, request_id: str) -> Response:
    """The response of an error.

    `x-should-retry` tells the official clients what their own rule, by status, would not: a
    request that timed out would do so again.
    """
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    if isinstance(error, RequestTimeout):
        headers["x-should-retry"] = "false"
        headers["connection"] = "close"
    return JSONResponse(error.body(request_id), error.status, headers)


async def on_api_error(request: Request, error: Exception) -> Response:
    """Answers an `ApiError` that a route raised."""
    assert isinstance(error, ApiError)
    return error_response(error, request.scope["request_id"])


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answers what the router raised: an unknown route or method."""
    assert isinstance(error, HTTPException)
    messages = {
        404: f"Not Found: there is no {excerpt(request.url.path)}",
        405: f"Method Not Allowed: {excerpt(request.method)} {excerpt(request.url.path)}",
    }
    message = messages.get(error.status_code, str(error.detail))
    response = error_response(for_status(error.status_code)(message), request.scope["request_id"])
    response.headers.update(error.headers or {})
    return response


async def on_bug(request: Request, error: Exception) -> Response:
    """Answers anything else, which is a bug. The log gets its trace, the client does not."""
    _log.error("unexpected error in request %s", request.scope["request_id"], exc_info=error)
    return error_response(InternalError("Internal server error"), request.scope["request_id"])
