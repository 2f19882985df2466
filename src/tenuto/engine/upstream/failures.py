"""What it means when a server behind this one fails, or answers with something else."""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json

from tenuto.engine.base import UpstreamError

UNREACHABLE: Final = "The server behind this one cannot be reached."
SLOW: Final = "The server behind this one took too long to answer."
BROKE_OFF: Final = "The server behind this one broke off in the middle of its answer."
GARBAGE: Final = "The server behind this one answered with something that is no completion."
REFUSES_US: Final = "The server behind this one does not accept this server's key."

_STATUS_OF_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def json_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UpstreamError: The text is none.
    """
    try:
        value = from_json(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamError(GARBAGE, status=500, retryable=True)
    return value


def message_in(body: bytes | str) -> str | None:
    """The words in the body of an error, in the envelope of either API; None if it has none."""
    try:
        return _message_of(from_json(body))
    except ValueError:
        return None


def _message_of(value: object) -> str | None:
    inner = value.get("error", value) if isinstance(value, dict) else None
    message = inner.get("message") if isinstance(inner, dict) else inner
    return message if isinstance(message, str) and message else None


def error_of_status(
    status: int,
    message: str | None,
    *,
    retry_after: float | None = None,
    forwards_key: bool = False,
) -> UpstreamError:
    """The error for a caller, from the error of a server behind this one.

    What is the caller's mistake keeps its status and its words. What is this server's, a wrong
    key of its own for example, is not blamed on the caller.
    """
    if status in (401, 403) and not forwards_key:
        return UpstreamError(REFUSES_US, status=500)
    if status in (408, 504):
        return UpstreamError(SLOW, status=504, retryable=True)
    if status in (503, 529):
        return UpstreamError("Overloaded", status=529, retry_after=retry_after, retryable=True)
    said = message or f"The server behind this one answered {status}."
    if status == 429:
        return UpstreamError(said, status=429, retry_after=retry_after, retryable=True)
    if status >= 500:
        return UpstreamError(
            f"The server behind this one failed; it answered {status}.", status=500, retryable=True
        )
    return UpstreamError(said, status=status if status in _STATUS_OF_TYPE.values() else 400)


def error_of_event(data: str) -> UpstreamError:
    """The error that an `error` event stands for, in the middle of a stream."""
    try:
        return error_of_object(from_json(data))
    except ValueError:
        return error_of_status(500, None)


def error_of_object(said: object) -> UpstreamError:
    """The error that a JSON object with `error` stands for, in the envelope of either API."""
    inner = said.get("error") if isinstance(said, dict) else None
    kind, code = (inner.get("type"), inner.get("code")) if isinstance(inner, dict) else (None, None)
    if isinstance(kind, str) and kind in _STATUS_OF_TYPE:
        status = _STATUS_OF_TYPE[kind]
    else:
        # OpenAI's servers give the status as a number, or as nothing.
        status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    return error_of_status(status, _message_of(said))
