"""Answer repeated requests with the first response: the header `idempotency-key`."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tenuto.core.job import Caller
from tenuto.core.refusal import Kind, Refusal
from tenuto.operations.accounts.account import Account
from tenuto.operations.idempotency.keeper import Keeper, SharedKeeper
from tenuto.operations.idempotency.key import HEADER, parse_key
from tenuto.operations.idempotency.records import Claim, KeptResponse, Mismatch, Place, Running
from tenuto.operations.idempotency.registry import Bounds
from tenuto.operations.records import Delivery, RequestRecord
from tenuto.operations.store.responses import Responses
from tenuto.server.errors import error_response, refusal_for
from tenuto.server.recording import Recording, replay
from tenuto.server.request_headers import combined, header, header_values
from tenuto.settings import IdempotencySettings, Settings, store_location
from tenuto.wire.errors import ErrorFormat, status_of

_NAME = HEADER.encode()
_MIB = 2**20


@dataclass(slots=True)
class IdempotencyCounts:
    """Numbers of responses since the server was started.

    Attributes:
        kept: Responses that were kept.
        replayed: Responses that were sent again.
        running: Requests that were refused because the first one was running.
        mismatched: Requests that were refused because their key belonged to another one.
        unkept: Responses beyond the bounds, which were sent and not kept.
    """

    kept: int = 0
    replayed: int = 0
    running: int = 0
    mismatched: int = 0
    unkept: int = 0


class Idempotency:
    """The kept responses of one server. All methods belong to one event loop.

    Args:
        settings: The settings.
        keeper: The keeper of the responses, which is started and closed here.
    """

    def __init__(self, settings: IdempotencySettings, keeper: Keeper) -> None:
        self.counts: IdempotencyCounts = IdempotencyCounts()
        self._enabled = settings.enabled
        self._keeper = keeper

    def change(self, settings: IdempotencySettings) -> None:
        """Use other settings from now on. Responses beyond the new bounds are forgotten."""
        self._enabled = settings.enabled
        self._keeper.change(bounds_of(settings))

    def start(self) -> None:
        """Begin to open the store, if there is one."""
        self._keeper.start()

    async def aclose(self) -> None:
        """Write what waits for the store, for 5 seconds at most."""
        await self._keeper.aclose()

    @property
    def trouble(self) -> str:
        """The reason why the store of responses does not work, one line; "" if all is well."""
        return self._keeper.trouble

    def attempt(
        self, scope: Scope, caller: Caller, account: Account, errors: ErrorFormat
    ) -> Attempt | None:
        """Return the attempt of a request with the header; None without it.

        `errors` is the format of errors, some of which are kept.

        Raises:
            Refusal: The header is invalid.
        """
        if not self._enabled or header(scope, _NAME) is None:
            return None
        key = parse_key(header_values(scope, _NAME))
        place = Place(_caller_of(scope, caller, account), hashlib.sha256(key.encode()).digest())
        version = combined(scope, b"anthropic-version") or ""
        head = f"{scope['path']}\n{version}\n"
        return Attempt(self.counts, self._keeper, place, head, errors)


class Attempt:
    """One request with a key.

    Attributes:
        digest: Takes the bytes of the request's body.
    """

    def __init__(
        self,
        counts: IdempotencyCounts,
        keeper: Keeper,
        place: Place,
        head: str,
        errors: ErrorFormat,
    ) -> None:
        self.digest = hashlib.sha256(head.encode())
        self._errors = errors
        self._counts = counts
        self._keeper = keeper
        self._place = place

    async def run(
        self,
        answer: Callable[[Send], Awaitable[None]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send the response that is kept, or the one of `answer`, which is then kept.

        Completions are kept, and so are failures with a status of 500 or more, except for 529. The
        client should not retry these, because it would get the same response.

        Raises:
            Refusal: The first request is running, the key belongs to another request, or `answer`
                refused this one.
        """
        found = await self._keeper.begin(self._place, self.digest.digest())
        record: RequestRecord = scope["record"]
        match found:
            case Claim():
                await self._first(found, answer, scope, receive, send)
            case KeptResponse():
                self._counts.replayed += 1
                record.outcome = Delivery.REPLAYED
                await replay(found, send)
            case Running():
                self._counts.running += 1
                raise Refusal(
                    Kind.CONFLICT,
                    f"{HEADER}: the first request with this key is still running. Try again later.",
                    retry_after=found.retry_after_s,
                )
            case Mismatch():
                self._counts.mismatched += 1
                raise Refusal(
                    Kind.KEY_REUSED,
                    f"{HEADER}: this key belongs to another request, with another body or "
                    "another anthropic-version. Use a new key for each new request.",
                )

    async def _first(
        self,
        claim: Claim,
        answer: Callable[[Send], Awaitable[None]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        record: RequestRecord = scope["record"]
        keeper, counts = self._keeper, self._counts
        is_kept = ended = False
        if record.spoiling is not None:
            record.spoiling.wait()

        def hold(size: int) -> bool:
            fits = keeper.hold(claim, size)
            counts.unkept += not fits
            return fits

        async def complete(response: KeptResponse) -> None:
            nonlocal is_kept, ended
            # A stream has an outcome by now, if it ends with an error.
            if isinstance(record.outcome, Kind) and not _is_kept(record.outcome):
                return
            ended = True
            is_kept = await keeper.keep(claim, response)
            counts.kept += is_kept
            counts.unkept += not is_kept

        recording = Recording(send, hold, complete)
        try:
            await answer(recording.send)
        except Exception as error:
            if recording.begun:
                raise
            refusal = refusal_for(error, record.id)
            if not _is_kept(refusal.kind):
                raise refusal from None
            record.outcome = refusal.kind
            final = Refusal(refusal.kind, refusal.message, retryable=False)
            await error_response(final, record.id, self._errors)(scope, receive, recording.send)
        finally:
            if not ended:
                keeper.drop(claim)
            if record.spoiling is not None:
                record.spoiling.settle(kept=is_kept)


def idempotency_of(settings: Settings) -> Idempotency:
    """Return the kept responses of a server with these settings.

    Raises:
        SettingsError: There is no folder for the store.
    """
    return Idempotency(settings.idempotency, keeper_of(settings))


def keeper_of(settings: Settings) -> Keeper:
    """Return the keeper that the settings name, not started.

    Raises:
        SettingsError: There is no folder for the store.
    """
    own = settings.idempotency
    bounds = bounds_of(own)
    if own.enabled and own.store == "database":
        return SharedKeeper(bounds, Responses(store_location(settings.store), bounds))
    return Keeper(bounds)


def bounds_of(settings: IdempotencySettings) -> Bounds:
    """Return the bounds that the settings set."""
    return Bounds(
        total_bytes=settings.max_mib * _MIB,
        response_bytes=settings.max_response_mib * _MIB,
        # A server that was told to keep nothing forgets what it has.
        entries=settings.max_entries if settings.enabled else 0,
        age_s=settings.max_age_s,
    )


def _caller_of(scope: Scope, caller: Caller, account: Account) -> str:
    """Return the name of a caller: its account, or the address of a caller without one.

    The id of a key is the same after its rotation.
    """
    if account.entry is not None:
        return f"key {account.entry.id}"
    record: RequestRecord = scope["record"]
    return f"{record.address} {caller.id}"


def _is_kept(kind: Kind) -> bool:
    """Return whether an error is kept like a completion: a failure, but no lack of room."""
    return status_of(kind) >= 500 and kind is not Kind.OVERLOADED
