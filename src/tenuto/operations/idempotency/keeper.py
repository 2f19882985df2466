"""Keepers of responses, in memory and shared through the store."""

from __future__ import annotations

import asyncio
import hashlib
import time
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from tenuto.operations.idempotency.records import (
    Claim,
    Claimed,
    KeptResponse,
    Place,
    RunningElsewhere,
    Verdict,
)
from tenuto.operations.idempotency.registry import Bounds, Registry
from tenuto.operations.store.errors import StoreError
from tenuto.operations.store.responses import Responses

T = TypeVar("T")

# A request waits this long for the store, and then goes on without it.
PATIENCE_S: Final = 5.0


class Keeper:
    """Responses in the memory of this process. All methods belong to one event loop."""

    def __init__(self, bounds: Bounds) -> None:
        self._registry = Registry(bounds)

    def change(self, bounds: Bounds) -> None:
        """Use other bounds from now on. The responses beyond them are removed."""
        self._registry.change(bounds)

    async def begin(self, place: Place, fingerprint: bytes) -> Verdict:
        """Return what is at a place. A claim is ended by `keep` or `drop`, once."""
        return self._registry.begin(place, fingerprint, time.monotonic())

    def hold(self, claim: Claim, size: int) -> bool:
        """Reserve room for bytes of a response: see `Registry.hold`."""
        return self._registry.hold(claim, size)

    async def keep(self, claim: Claim, response: KeptResponse) -> bool:
        """End a claim with its response. Return whether it is kept."""
        return self._registry.keep(claim, response, time.monotonic())

    def drop(self, claim: Claim) -> None:
        """End a claim without a response."""
        self._registry.drop(claim)

    @property
    def trouble(self) -> str:
        """The reason why the store does not work, one line; "" if all is well."""
        return ""

    def start(self) -> None:
        """Prepare for the first request."""

    async def aclose(self) -> None:
        """Release what the keeper holds."""


class SharedKeeper(Keeper):
    """Responses in memory and in the store, so that several servers run each request once.

    Without an answer of the store within `patience_s`, a key holds on this server only.
    """

    def __init__(
        self, bounds: Bounds, responses: Responses, patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__(bounds)
        self._responses = responses
        self._patience_s = patience_s

    @property
    def trouble(self) -> str:
        return self._responses.trouble

    def start(self) -> None:
        # Loading the library of databases takes half a second.
        self._responses.open()

    def change(self, bounds: Bounds) -> None:
        super().change(bounds)
        self._responses.bounds = bounds

    async def begin(self, place: Place, fingerprint: bytes) -> Verdict:
        claim = await super().begin(place, fingerprint)
        if not isinstance(claim, Claim):
            return claim
        row = _row(place)
        try:
            found = await self._result(self._responses.claim(row, fingerprint))
        except BaseException:
            self.drop(claim)
            raise
        if found is None:
            # It may still be claimed later, when the store works again.
            self._responses.drop(row)
            return claim
        if isinstance(found, Claimed):
            return claim
        super().drop(claim)
        if isinstance(found, RunningElsewhere):
            return self._registry.running(found.elapsed_ms / 1000)
        return found

    async def keep(self, claim: Claim, response: KeptResponse) -> bool:
        row = _row(claim.place)
        if not await super().keep(claim, response):
            self._responses.drop(row)
            return False
        await self._result(self._responses.keep(row, response))
        return True

    def drop(self, claim: Claim) -> None:
        super().drop(claim)
        self._responses.drop(_row(claim.place))

    async def aclose(self) -> None:
        await asyncio.to_thread(self._responses.stop, self._patience_s)

    async def _result(self, future: Future[T]) -> T | None:
        """Return the result of the store; None if it does not work, or takes too long."""
        waiting: asyncio.Future[Any] = asyncio.wrap_future(future)
        waiting.add_done_callback(_retrieve)
        await asyncio.wait([waiting], timeout=self._patience_s)
        try:
            return waiting.result() if waiting.done() else None
        except StoreError:
            return None


def _row(place: Place) -> bytes:
    """Return the primary key of a place, of which callers cannot choose any part."""
    return hashlib.sha256(place.caller.encode() + b"\0" + place.key).digest()


def _retrieve(waiting: asyncio.Future[Any]) -> None:
    """Prevent the log line of asyncio about an exception that was not retrieved."""
    if not waiting.cancelled():
        waiting.exception()
