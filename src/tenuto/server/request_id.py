"""The id of the request that the current task serves, for log lines in the middle of it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""The value of its `request-id` header; "" outside of a request."""
