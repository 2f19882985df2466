"""Tenuto keeps the Text Completions API alive: POST /v1/complete, with a model in the box.

The names below are those of the Python client. Each is imported on first use, because the server
and the command line need none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tenuto.version import __version__

if TYPE_CHECKING:
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
    from tenuto.client.responses import APIResponse, AsyncAPIResponse, RawResponse
    from tenuto.client.streams import AsyncStream, Stream
    from tenuto.client.types import (
        DEFAULT_CONNECTION_LIMITS,
        DEFAULT_MAX_RETRIES,
        DEFAULT_TIMEOUT,
        NOT_GIVEN,
        BaseModel,
        NotGiven,
        Omit,
        Timeout,
        not_given,
        omit,
    )
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

# Modules of the client, searched in this order.
_MODULES = ("errors", "types", "streams", "responses", "client")
_ALIASES = {
    "AI_PROMPT": ("core.prompt", "ASSISTANT"),
    "Anthropic": ("client.client", "Client"),
    "AsyncAnthropic": ("client.client", "AsyncClient"),
    "HUMAN_PROMPT": ("core.prompt", "HUMAN"),
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        homes = [_ALIASES[name]] if name in _ALIASES else [(f"client.{m}", name) for m in _MODULES]
        for module, attribute in homes:
            if attribute in (names := vars(import_module(f"tenuto.{module}"))):
                globals()[name] = names[attribute]
                return names[attribute]
    raise AttributeError(f"module 'tenuto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
