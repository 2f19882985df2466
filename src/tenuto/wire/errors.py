"""The errors that travel, and the one table of their types and statuses.

    ApiError
    ├── InvalidRequest      400 invalid_request_error   the request itself is wrong
    ├── AuthenticationError 401 authentication_error
    ├── BillingError        402 billing_error
    ├── PermissionDenied    403 permission_error
    ├── NotFound            404 not_found_error         a route or a model that is not there
    ├── MethodNotAllowed    405 invalid_request_error
    ├── RequestTimeout      408 invalid_request_error   the request came too slowly
    ├── Conflict            409 conflict_error
    ├── RequestTooLarge     413 request_too_large
    ├── RateLimited         429 rate_limit_error
    ├── HeadTooLarge        431 invalid_request_error   too many headers, or too long ones
    ├── InternalError       500 api_error               our fault
    ├── GatewayTimeout      504 timeout_error
    └── Overloaded          529 overloaded_error        our fault, for now: try again

Before the first byte of an answer an error is a status, after it an `error` event. The body is
the same in both: `{"type": "error", "error": {"type", "message"}, "request_id"}`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from tenuto.wire.text import well_formed

_EXCERPT_CHARS: Final = 64


class ApiError(Exception):
    """An error that a client sees.

    Args:
        message: One or two sentences for the person at the other end: what is wrong, then the
            remedy. Never holds a secret.
        retry_after: Seconds after which the same request may succeed, if that is known.
        should_retry: Whether a client should send the request again by itself; None for its own
            rule, which goes by the status.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.should_retry = should_retry

    def body(self, request_id: str | None = None) -> dict[str, object]:
        """The documented envelope, ready for JSON."""
        body: dict[str, object] = {
            "type": "error",
            "error": {"type": self.type, "message": well_formed(self.message)},
        }
        if request_id is not None:
            body["request_id"] = request_id
        return body


class InvalidRequest(ApiError):
    status: ClassVar[int] = 400
    type: ClassVar[str] = "invalid_request_error"


class AuthenticationError(ApiError):
    status: ClassVar[int] = 401
    type: ClassVar[str] = "authentication_error"


class BillingError(ApiError):
    status: ClassVar[int] = 402
    type: ClassVar[str] = "billing_error"


class PermissionDenied(ApiError):
    status: ClassVar[int] = 403
    type: ClassVar[str] = "permission_error"


class NotFound(ApiError):
    status: ClassVar[int] = 404
    type: ClassVar[str] = "not_found_error"


class MethodNotAllowed(ApiError):
    status: ClassVar[int] = 405
    type: ClassVar[str] = "invalid_request_error"


class RequestTimeout(ApiError):
    status: ClassVar[int] = 408
    type: ClassVar[str] = "invalid_request_error"


class Conflict(ApiError):
    status: ClassVar[int] = 409
    type: ClassVar[str] = "conflict_error"


class RequestTooLarge(ApiError):
    status: ClassVar[int] = 413
    type: ClassVar[str] = "request_too_large"


class HeadTooLarge(ApiError):
    status: ClassVar[int] = 431
    type: ClassVar[str] = "invalid_request_error"


class RateLimited(ApiError):
    status: ClassVar[int] = 429
    type: ClassVar[str] = "rate_limit_error"


class InternalError(ApiError):
    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"


class GatewayTimeout(ApiError):
    status: ClassVar[int] = 504
    type: ClassVar[str] = "timeout_error"


class Overloaded(ApiError):
    status: ClassVar[int] = 529
    type: ClassVar[str] = "overloaded_error"


_ERRORS: tuple[type[ApiError], ...] = (
    InvalidRequest,
    AuthenticationError,
    BillingError,
    PermissionDenied,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    Conflict,
    RequestTooLarge,
    RateLimited,
    HeadTooLarge,
    InternalError,
    GatewayTimeout,
    Overloaded,
)


def excerpt(text: str, most: int = _EXCERPT_CHARS) -> str:
    """Return a client's text as an error message may quote it: short, and valid Unicode."""
    return well_formed(text if len(text) <= most else text[:most] + "…")


def all_errors() -> tuple[type[ApiError], ...]:
    """Every error that a client may see."""
    return _ERRORS


def for_status(status: int) -> type[ApiError]:
    """The error class of a status; other 4xx are `InvalidRequest`, other 5xx `InternalError`."""
    for error in _ERRORS:
        if error.status == status:
            return error
    return InvalidRequest if status < 500 else InternalError


def error_of(status: int | None, body: object) -> ApiError:
    """The error that a client was answered with.

    Args:
        status: The response's status; None for an `error` event of a stream.
        body: The JSON of the response or of the event, whatever it is.
    """
    inner = body.get("error") if isinstance(body, dict) else None
    fields = inner if isinstance(inner, dict) else {}
    message = fields.get("message")
    if status is not None:
        error = for_status(status)
        return error(message if isinstance(message, str) else f"the server answered {status}")
    named = (error for error in _ERRORS if error.type == fields.get("type"))
    return next(named, InternalError)(message if isinstance(message, str) else "unknown error")
