"""Limits of requests before the engine."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from tenuto.core.job import Caller, Request


class Admission(Protocol):
    """One limit, such as the requests in flight of one key."""

    def lease(self, caller: Caller, request: Request) -> AbstractAsyncContextManager[object]:
        """Return the lease of one request.

        The server enters it before the engine gets the job, and exits it once at the end of the
        response, with any outcome. Entering may wait; a disconnect or a shutdown cancels the wait.

        Raises:
            Refusal: The limit is reached: `Kind.RATE_LIMITED`, with `retry_after` if known. Also
                raised on entering.
        """
        ...
