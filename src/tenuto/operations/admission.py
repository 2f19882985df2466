"""The protocol of limits: whether a request may reach the engine now."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Protocol

from tenuto.core.caller import Caller
from tenuto.core.request import Request


class Admission(Protocol):
    """One limit, such as the requests in flight of one key."""

    def lease(self, caller: Caller, request: Request) -> AbstractAsyncContextManager[object]:
        """Return the lease of one request.

        It is entered before the engine gets the job, and exited once when the response has ended,
        whatever the outcome. Entering may wait; a disconnect or a shutdown cancels it.

        Raises:
            Refusal: The limit is reached: `Kind.RATE_LIMITED`, with `retry_after` where known.
                Raised here, or on entering.
        """
        ...


async def admit(
    admissions: Iterable[Admission], caller: Caller, request: Request, leases: AsyncExitStack
) -> None:
    """Enter the lease of each limit in order.

    Args:
        admissions: The limits.
        caller: The sender.
        request: The request.
        leases: Holds the leases, and releases them when it is closed.

    Raises:
        Refusal: A limit is reached.
    """
    for admission in admissions:
        await leases.enter_async_context(admission.lease(caller, request))
