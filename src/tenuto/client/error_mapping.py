"""Map responses, `error` events and transport errors to the exceptions of the client."""

from __future__ import annotations

import json
from typing import Final

import httpx2

from tenuto.client import errors
from tenuto.client.addresses import origin, shown

_CLASSES: Final[dict[int, type[errors.APIStatusError]]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.RequestTooLargeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    529: errors.OverloadedError,
}

# Reasons that OpenSSL, in its older and newer versions, reports for a response without TLS.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure")


def error_of_response(response: httpx2.Response) -> errors.APIStatusError:
    """Return the error for a response with an error status, whose body has been read."""
    status = response.status_code
    text = response.text.strip()
    body: object = text
    message = text or f"Error code: {status}"
    try:
        body = json.loads(text)
        message = f"Error code: {status} - {body}"
    except ValueError:
        pass
    kind = _CLASSES.get(
        status, errors.InternalServerError if status >= 500 else errors.APIStatusError
    )
    return kind(message, response=response, body=body)


def error_of_event(response: httpx2.Response, data: str) -> errors.APIStatusError:
    """Return the error for an `error` event within a stream."""
    try:
        body: object = json.loads(data)
    except ValueError:
        body = data
    message = str(body) if data else f"Error code: {response.status_code}"
    return errors.APIStatusError(message, response=response, body=body)


def error_of_transport(
    error: httpx2.HTTPError | httpx2.StreamError, request: httpx2.Request
) -> errors.APIConnectionError:
    """Return the error for a request without a complete response."""
    if isinstance(error, httpx2.TimeoutException):
        return errors.APITimeoutError(request)
    reason = (str(error) or type(error).__name__).rstrip(". ")
    where = f"{request.method} {shown(request.url)}"
    return errors.APIConnectionError(
        message=f"Connection error. {where}: {reason}.{_remedy(error, request, reason)}",
        request=request,
    )


def _remedy(
    error: httpx2.HTTPError | httpx2.StreamError, request: httpx2.Request, reason: str
) -> str:
    """Return the remedy for a connection error with a leading space, or ""."""
    here = origin(request.url)
    if isinstance(error, httpx2.ConnectError):
        if any(words in reason for words in _NOT_TLS):
            plain = here.replace("https://", "http://", 1)
            return f" The server does not use TLS: try {plain} as `base_url`."
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return " Its certificate is not trusted: set SSL_CERT_FILE to a file of trusted ones."
        return (
            " Is a server running there? Start one with `tenuto serve`, or set `base_url` or "
            "TENUTO_BASE_URL to another."
        )
    if isinstance(error, httpx2.RemoteProtocolError) and "\\x15\\x03" in reason:
        secure = here.replace("http://", "https://", 1)
        return f" The server uses TLS: try {secure} as `base_url`."
    return ""
