"""Tenuto keeps the Text Completions API alive: POST /v1/complete, with a model in the box.

The names here are those of the Python client, and are loaded when they are first used: the server
and the command line need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tenuto.version import __version__

if TYPE_CHECKING:
    from tenuto.client.base import (
        DEFAULT_CONNECTION_LIMITS,
        DEFAULT_MAX_RETRIES,
        DEFAULT_TIMEOUT,
        Timeout,
    )
    from tenuto.client.client import AsyncClient, Client
    from tenuto.client.errors import (
        AnthropicError,
        APIConnectionError,
        APIError,
        APIResponseValidationError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConflictError,
        IncompleteStreamError,
        InternalServerError,
        NotFoundError,
        OverloadedError,
        PermissionDeniedError,
        RateLimitError,
        RequestTooLargeError,
        UnprocessableEntityError,
    )
    from tenuto.client.given import NOT_GIVEN, NotGiven, Omit, not_given, omit
    from tenuto.client.responses import APIResponse, AsyncAPIResponse, RawResponse
    from tenuto.client.streams import AsyncStream, Stream
    from tenuto.client.types import BaseModel
    from tenuto.core.prompt import ASSISTANT as AI_PROMPT
    from tenuto.core.prompt import HUMAN as HUMAN_PROMPT

    Anthropic = Client
    AsyncAnthropic = AsyncClient

__all__ = [
    "AI_PROMPT",
    "DEFAULT_CONNECTION_LIMITS",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "HUMAN_PROMPT",
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "Anthropic",
    "AnthropicError",
    "AsyncAPIResponse",
    "AsyncAnthropic",
    "AsyncClient",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BaseModel",
    "Client",
    "ConflictError",
    "IncompleteStreamError",
    "InternalServerError",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "OverloadedError",
    "PermissionDeniedError",
    "RateLimitError",
    "RawResponse",
    "RequestTooLargeError",
    "Stream",
    "Timeout",
    "UnprocessableEntityError",
    "__version__",
    "not_given",
    "omit",
]

_HOMES = {
    "client.base": ("DEFAULT_CONNECTION_LIMITS DEFAULT_MAX_RETRIES DEFAULT_TIMEOUT Timeout"),
    "client.client": "AsyncClient Client",
    "client.errors": (
        "APIConnectionError APIError APIResponseValidationError APIStatusError APITimeoutError "
        "AnthropicError AuthenticationError BadRequestError ConflictError IncompleteStreamError "
        "InternalServerError NotFoundError OverloadedError PermissionDeniedError RateLimitError "
        "RequestTooLargeError UnprocessableEntityError"
    ),
    "client.given": "NOT_GIVEN NotGiven Omit not_given omit",
    "client.responses": "APIResponse AsyncAPIResponse RawResponse",
    "client.streams": "AsyncStream Stream",
    "client.types": "BaseModel",
}
_ALIASES = {
    "AI_PROMPT": ("prompt.turns", "ASSISTANT"),
    "Anthropic": ("client.client", "Client"),
    "AsyncAnthropic": ("client.client", "AsyncClient"),
    "HUMAN_PROMPT": ("prompt.turns", "HUMAN"),
}
_HOME_OF = _ALIASES | {
    name: (home, name) for home, names in _HOMES.items() for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'tenuto' has no attribute {name!r}")
    home, there = _HOME_OF[name]
    value = getattr(import_module(f"tenuto.{home}"), there)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
