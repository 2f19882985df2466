"""Exceptions of the client: names, attributes and inheritance of the official package, 0.125.0.

    AnthropicError
    ├── APIError                        .message .request .body
    │   ├── APIConnectionError          no response, or an incomplete one
    │   │   ├── APITimeoutError
    │   │   └── IncompleteStreamError   a stream without its final event
    │   ├── APIResponseValidationError  an invalid response: .response .status_code
    │   └── APIStatusError              .response .status_code .request_id .type
    │       ├── BadRequestError           400
    │       ├── AuthenticationError       401
    │       ├── PermissionDeniedError     403
    │       ├── NotFoundError             404
    │       ├── ConflictError             409
    │       ├── RequestTooLargeError      413
    │       ├── UnprocessableEntityError  422
    │       ├── RateLimitError            429
    │       ├── OverloadedError           529
    │       └── InternalServerError       any other from 500 on
    └── StreamAlreadyConsumed

`IncompleteStreamError` is new: the official client ends such a stream as if it were complete. An
`error` event in a stream raises an `APIStatusError` with the status of the response, 200, and the
`.type` of the event.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final, Literal

import httpx2

from tenuto.client.addresses import shown

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "overloaded_error",
    "api_error",
]


class AnthropicError(Exception):
    """Base class of all errors of the client.

    Errors can be pickled and copied, without key and prompt: a request keeps its method and its
    URL without the query, a response its status, its headers and the body read so far.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: _picklable(value) for name, value in vars(self).items()}
        return _restore, (type(self), self.args, state)


class APIError(AnthropicError):
    """A failed request.

    Attributes:
        body: The JSON body of the response, or its text if it is not JSON; None without a response.
    """

    def __init__(self, message: str, request: httpx2.Request, *, body: object | None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.body = body


class APIConnectionError(APIError):
    """The connection failed or broke."""

    def __init__(self, *, message: str = "Connection error.", request: httpx2.Request) -> None:
        super().__init__(message, request, body=None)


class APITimeoutError(APIConnectionError):
    """The server took longer than the timeout."""

    def __init__(self, request: httpx2.Request) -> None:
        super().__init__(
            message="Request timed out. Increase `timeout`, in seconds, or use `stream=True` to "
            "receive the text as it is generated.",
            request=request,
        )


class IncompleteStreamError(APIConnectionError):
    """A stream ended without its final event, so its `text` so far may be cut off."""

    def __init__(self, request: httpx2.Request, *, text: str, why: str) -> None:
        super().__init__(
            message=f"The stream ended before its final event, after {len(text)} characters: {why}",
            request=request,
        )
        self.text = text


class APIResponseValidationError(APIError):
    """The server returned an invalid response."""

    def __init__(
        self, response: httpx2.Response, body: object | None, *, message: str | None = None
    ) -> None:
        super().__init__(
            message or "Data returned by API invalid for expected schema.",
            response.request,
            body=body,
        )
        self.response = response
        self.status_code: int = response.status_code


class APIStatusError(APIError):
    """The server returned an error.

    Attributes:
        status_code: Status of the response: 400 or more, or 200 for an error within a stream.
        request_id: The server's id of the request, as in its log; None if not sent.
        workspace_id: The workspace of the key; None if not sent.
        type: Type of the error, for example `overloaded_error`.
    """

    def __init__(self, message: str, *, response: httpx2.Response, body: object | None) -> None:
        super().__init__(message, response.request, body=body)
        self.response = response
        self.status_code: int = response.status_code
        self.request_id: str | None = response.headers.get("request-id")
        self.workspace_id: str | None = response.headers.get("anthropic-workspace-id")
        inner = body.get("error") if isinstance(body, dict) else None
        kind = inner.get("type") if isinstance(inner, dict) else None
        self.type: ErrorType | str | None = kind if isinstance(kind, str) else None


class BadRequestError(APIStatusError):
    """400: the request is invalid; the message names the field."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or invalid."""


class PermissionDeniedError(APIStatusError):
    """403: the key lacks the permission."""


class NotFoundError(APIStatusError):
    """404: the model or the path does not exist."""


class ConflictError(APIStatusError):
    """409: the request conflicts with another one."""


class RequestTooLargeError(APIStatusError):
    """413: the body exceeds the size limit."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is invalid, as some proxies report it."""


class RateLimitError(APIStatusError):
    """429: the rate limit is exceeded."""


class OverloadedError(APIStatusError):
    """529: the server is overloaded."""


class InternalServerError(APIStatusError):
    """500 and above: the server failed."""


class StreamAlreadyConsumed(AnthropicError):
    """The body of a response was read after it had been streamed."""

    def __init__(self) -> None:
        super().__init__(
            "The body has been streamed and was not kept; call `.read()` before streaming to "
            "keep it."
        )


# Secrets, and headers about the encoding of the body, which is stored decoded.
_DROPPED_HEADERS: Final = ("set-cookie", "content-encoding", "content-length", "transfer-encoding")


def _restore(kind: type[AnthropicError], args: Any, state: dict[str, Any]) -> AnthropicError:
    """Recreate a pickled or copied error without calling its constructor."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def _picklable(value: object) -> object:
    """Return the part of an error's attribute that is pickled or copied."""
    if isinstance(value, httpx2.Request):
        return httpx2.Request(value.method, shown(value.url))
    if isinstance(value, httpx2.Response):
        content = b""
        with contextlib.suppress(httpx2.StreamError):  # A streamed body is not kept.
            content = value.content
        headers = [each for each in value.headers.multi_items() if each[0] not in _DROPPED_HEADERS]
        kept = httpx2.Response(value.status_code, headers=headers, content=content)
        with contextlib.suppress(RuntimeError):  # A test created it without a request.
            kept.request = httpx2.Request(value.request.method, shown(value.request.url))
        return kept
    return value


# The public names, which `pickle` and `help` use.
for _kind in list(vars().values()):
    if isinstance(_kind, type) and issubclass(_kind, AnthropicError):
        _kind.__module__ = "tenuto" if _kind is not StreamAlreadyConsumed else __name__
