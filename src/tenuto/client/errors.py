"""What the client raises: names, attributes and inheritance of the official package, 0.125.0.

    AnthropicError
    ├── APIError                        .message .request .body
    │   ├── APIConnectionError          no answer, or only a part of one
    │   │   ├── APITimeoutError
    │   │   └── IncompleteStreamError   a stream that ended without its final event
    │   ├── APIResponseValidationError  an answer that is none: .response .status_code
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

`IncompleteStreamError` alone is new: the official client ends such a stream as if it were whole.
An `error` event in the middle of a stream raises an `APIStatusError` whose status is that of the
response, 200; its `.type` says what happened.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any, Final, Literal

import httpx2

from tenuto.client.addresses import origin, shown

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
    """Anything that goes wrong between a client and its server.

    Errors can be pickled and copied. Of a request that leaves its method and its URL without a
    query, of a response also the status, the headers and what was read of the body: no key and
    no prompt.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: _reduced(value) for name, value in vars(self).items()}
        return _restored, (type(self), self.args, state)


class APIError(AnthropicError):
    """A request that failed.

    Attributes:
        message: What went wrong, for people.
        request: What was sent.
        body: The answer's JSON, or its text where it is no JSON; None without an answer.
    """

    message: str
    request: httpx2.Request
    body: object | None

    def __init__(self, message: str, request: httpx2.Request, *, body: object | None) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.body = body


class APIConnectionError(APIError):
    """The server could not be reached, or the connection broke."""

    def __init__(self, *, message: str = "Connection error.", request: httpx2.Request) -> None:
        super().__init__(message, request, body=None)


class APITimeoutError(APIConnectionError):
    """The server took longer than the timeout."""

    def __init__(self, request: httpx2.Request) -> None:
        super().__init__(
            message="Request timed out. Give it longer with `timeout`, in seconds, or see the "
            "answer come with `stream=True`.",
            request=request,
        )


class IncompleteStreamError(APIConnectionError):
    """A stream ended without its final event, so its text may lack an end.

    Attributes:
        text: What had come until then.
    """

    text: str

    def __init__(self, request: httpx2.Request, *, text: str, why: str) -> None:
        super().__init__(
            message=f"The stream ended before its final event, after {len(text)} characters: {why}",
            request=request,
        )
        self.text = text


class APIResponseValidationError(APIError):
    """The server answered with something that is no completion.

    Attributes:
        response: The answer.
        status_code: Its status.
    """

    response: httpx2.Response
    status_code: int

    def __init__(
        self, response: httpx2.Response, body: object | None, *, message: str | None = None
    ) -> None:
        super().__init__(
            message or "Data returned by API invalid for expected schema.",
            response.request,
            body=body,
        )
        self.response = response
        self.status_code = response.status_code


class APIStatusError(APIError):
    """The server answered with an error.

    Attributes:
        response: The answer.
        status_code: Its status: 400 or more, or 200 for an error in the middle of a stream.
        request_id: What the server calls this request, for its log; None if it did not say.
        workspace_id: The workspace that the key belongs to, if the server said so.
        type: What kind of error it is, for example `overloaded_error`.
    """

    response: httpx2.Response
    status_code: int
    request_id: str | None
    workspace_id: str | None
    type: ErrorType | str | None

    def __init__(self, message: str, *, response: httpx2.Response, body: object | None) -> None:
        super().__init__(message, response.request, body=body)
        self.response = response
        self.status_code = response.status_code
        self.request_id = response.headers.get("request-id")
        self.workspace_id = response.headers.get("anthropic-workspace-id")
        inner = body.get("error") if isinstance(body, dict) else None
        kind = inner.get("type") if isinstance(inner, dict) else None
        self.type = kind if isinstance(kind, str) else None


class BadRequestError(APIStatusError):
    """400: the request is wrong; the message names the field."""


class AuthenticationError(APIStatusError):
    """401: no key, or a wrong one."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model, or no such address."""


class ConflictError(APIStatusError):
    """409: something else is going on with the same thing."""


class RequestTooLargeError(APIStatusError):
    """413: the body is over the limit."""


class UnprocessableEntityError(APIStatusError):
    """422: some proxies' word for 400."""


class RateLimitError(APIStatusError):
    """429: too much in too short a time."""


class OverloadedError(APIStatusError):
    """529: too much for the server at this moment."""


class InternalServerError(APIStatusError):
    """500 and above: the server's fault."""


class StreamAlreadyConsumed(AnthropicError):
    """A response's body was asked for again after it had been streamed."""

    def __init__(self) -> None:
        super().__init__(
            "The response has been streamed already and was not kept; call `.read()` first to "
            "keep it."
        )


_CLASSES: Final[dict[int, type[APIStatusError]]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: RequestTooLargeError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    529: OverloadedError,
}


# Secrets, and what describes the body on its way and no longer holds for it.
_NOT_KEPT: Final = ("set-cookie", "content-encoding", "content-length", "transfer-encoding")


def _restored(kind: type[AnthropicError], args: Any, state: dict[str, Any]) -> AnthropicError:
    """Make an error that was pickled or copied, without its constructor."""
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


def _reduced(value: object) -> object:
    """What is kept of an attribute of an error when it is pickled or copied."""
    if isinstance(value, httpx2.Request):
        return httpx2.Request(value.method, shown(value.url))
    if isinstance(value, httpx2.Response):
        content = b""
        with contextlib.suppress(httpx2.StreamError):  # In a stream, none of it was kept.
            content = value.content
        headers = [each for each in value.headers.multi_items() if each[0] not in _NOT_KEPT]
        kept = httpx2.Response(value.status_code, headers=headers, content=content)
        with contextlib.suppress(RuntimeError):  # It was made without a request, in a test.
            kept.request = httpx2.Request(value.request.method, shown(value.request.url))
        return kept
    return value


def error_of_response(response: httpx2.Response) -> APIStatusError:
    """The error that a response stands for, whose body has been read."""
    status = response.status_code
    text = response.text.strip()
    body: object = text
    message = text or f"Error code: {status}"
    try:
        body = json.loads(text)
        message = f"Error code: {status} - {body}"
    except ValueError:
        pass
    kind = _CLASSES.get(status, InternalServerError if status >= 500 else APIStatusError)
    return kind(message, response=response, body=body)


def error_of_event(response: httpx2.Response, data: str) -> APIStatusError:
    """The error that an `error` event stands for, in the middle of a response."""
    try:
        body: object = json.loads(data)
    except ValueError:
        body = data
    message = str(body) if data else f"Error code: {response.status_code}"
    return APIStatusError(message, response=response, body=body)


def error_of_transport(
    error: httpx2.HTTPError | httpx2.StreamError, request: httpx2.Request
) -> APIConnectionError:
    """The error for a request that got no answer, or not all of it."""
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(request)
    reason = (str(error) or type(error).__name__).rstrip(". ")
    where = f"{request.method} {shown(request.url)}"
    return APIConnectionError(
        message=f"Connection error. {where}: {reason}.{_remedy(error, request, reason)}",
        request=request,
    )


def _remedy(
    error: httpx2.HTTPError | httpx2.StreamError, request: httpx2.Request, reason: str
) -> str:
    """What the caller can do about a connection error, with a blank in front; "" for nothing."""
    here = origin(request.url)
    if isinstance(error, httpx2.ConnectError):
        if any(words in reason for words in _NOT_TLS):
            plain = here.replace("https://", "http://", 1)
            return f" The server there does not speak TLS: try {plain} as `base_url`."
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return (
                " Its certificate is not trusted here: SSL_CERT_FILE names a file of certificates "
                "to trust."
            )
        return (
            " Is a server running there? `tenuto serve` starts one; `base_url` or "
            "TENUTO_BASE_URL names another."
        )
    if isinstance(error, httpx2.RemoteProtocolError) and "\\x15\\x03" in reason:
        secure = here.replace("http://", "https://", 1)
        return f" The server there speaks TLS: try {secure} as `base_url`."
    return ""


# How OpenSSL, in its older and newer versions, calls an answer that is not TLS.
_NOT_TLS: Final = ("WRONG_VERSION_NUMBER", "wrong version number", "record layer failure")


# Users know them by these names; `pickle` and `help` go by them, too.
for _kind in list(vars().values()):
    if isinstance(_kind, type) and issubclass(_kind, AnthropicError):
        _kind.__module__ = "tenuto" if _kind is not StreamAlreadyConsumed else __name__
