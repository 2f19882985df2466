"""All accounts of a server: keys, limits and charges."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from tenuto.core.refusal import Kind, Refusal, overloaded
from tenuto.operations.accounts.account import Account, Past
from tenuto.operations.accounts.charge import Book, Charge
from tenuto.operations.accounts.terms import EffectiveTerms, Terms, entries_of, terms_of_keys
from tenuto.operations.clock import Clock
from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.keys.ring import KeyRing
from tenuto.operations.limits.budget import Period
from tenuto.operations.limits.limit import LimitReached
from tenuto.operations.limits.refusals import limit_refusal
from tenuto.operations.limits.subjects import AddressSubjects, KeySubjects
from tenuto.operations.store.rows import NO_KEY, Opening

if TYPE_CHECKING:
    from tenuto.operations.store.ledger import Ledger

_MILLISECOND_NS: Final = 1_000_000
NOT_LOADED: Final = "The API keys cannot be read at the moment. Try again in a moment."
"""Message of the refusal while the keys are unknown."""
_NO_ROOM: Final = "Requests from too many addresses arrive at once. Try again in a moment."


class Accounts:
    """The keys, the limits and the charges of one server. Belongs to one event loop.

    Args:
        terms: The settings.
        ledger: Records completions; None for no record.
        clock: The clock.
        awaits_keys: Whether keys come from a store. Until `load`, only those of the settings are
            known.

    Attributes:
        book: The sums of all charges, for metrics.
        on_change: Called after each change of the keys.
        before_refusal: Ends the charges whose end has arrived, but was not read yet. Called before
            a limit refuses a completion.
    """

    def __init__(
        self,
        terms: Terms | None = None,
        *,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        awaits_keys: bool = False,
    ) -> None:
        self.book: Book = Book(clock or Clock(), ledger)
        self._clock = self.book.clock
        self._terms = terms or Terms()
        self._stored: tuple[KeyEntry, ...] = ()
        self._ring = KeyRing(entries_of(self._terms.hashes, ()))
        self._keys = KeySubjects(self._key_terms())
        self._addresses = AddressSubjects(self._terms.default)
        self._is_loaded = not awaits_keys
        self.on_change: Callable[[], None] | None = None
        self.before_refusal: Callable[[], None] | None = None
        # Set when the first attempt to read the store has ended.
        self._attempted: asyncio.Event | None = asyncio.Event() if awaits_keys else None

    @property
    def entries(self) -> Iterable[KeyEntry]:
        """All keys, those of the settings included."""
        return self._ring.by_id.values()

    def unpriced(self) -> str | None:
        """Return the name of a key whose budget of money lacks prices; None for none."""
        if self._terms.prices:
            return None
        return next((each.name for each in self.entries if each.budgets.cost is not None), None)

    async def attempted(self, timeout_s: float) -> None:
        """Wait until the store was read, or could not be read, or for a time."""
        if self._attempted is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._attempted.wait(), timeout_s)

    @property
    def is_open(self) -> bool:
        """Whether requests need no key: see `KeyRing.is_open`."""
        return self._ring.is_open

    @property
    def is_loaded(self) -> bool:
        """Whether all keys are known."""
        return self._is_loaded

    @property
    def awaits_store(self) -> bool:
        """Whether the store is being read for the first time."""
        return self._attempted is not None

    def attempt(self) -> None:
        """Record that the store was read, or could not be read, for the first time."""
        if self._attempted is not None:
            self._attempted.set()
            self._attempted = None
            self._changed()

    def load(self, stored: Iterable[KeyEntry], past: Past | None = None) -> None:
        """Take the keys of the store, and the usage in the ledger, at the start."""
        self._is_loaded = True
        self.replace_keys(stored)
        if past is not None:
            self._restore(past)
        self.attempt()

    def replace_keys(self, stored: Iterable[KeyEntry]) -> None:
        """Replace the keys of the store. Used amounts and running requests remain."""
        self._stored = tuple(stored)
        self._renew()

    def change(self, terms: Terms) -> None:
        """Replace the settings. Used amounts and running requests remain."""
        self._terms = terms
        self._renew()
        self._addresses.change(terms.default, self._clock.now())

    def _renew(self) -> None:
        self._ring.replace(entries_of(self._terms.hashes, self._stored))
        self._keys.change(self._key_terms(), self._clock.now())
        self._changed()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _key_terms(self) -> Mapping[int, EffectiveTerms]:
        return terms_of_keys(self._ring.by_id, self._terms.default)

    def _restore(self, past: Past) -> None:
        now = self._clock.now()
        for number in self._ring.by_id:
            limits = self._keys.limits_of(number)
            limits.rebuild(past.requests.get(number, ()), past.since)
            for period, sums in ((Period.DAY, past.day), (Period.MONTH, past.month)):
                limits.spending.restore(period, now, *sums.get(number, (0, 0)))

    def find(self, digest: bytes | None, address: str) -> Account | None:
        """Return the account of a caller; None for a key that is unknown or no longer accepted.

        Args:
            digest: SHA-256 of the key in the request; None without a key.
            address: The caller's address.

        Raises:
            Refusal: Neither is known: the store was not read yet, or too many addresses send
                requests.
        """
        now = self._clock.now()
        if digest is not None:
            entry = self._ring.find(digest, now)
            if entry is not None:
                return Account(entry, self._keys.limits_of(entry.id))
        if not self._is_loaded:
            raise overloaded(NOT_LOADED)
        return self._without_key(address, now) if self._ring.is_open else None

    def account_of(self, key_id: int | None, address: str) -> Account | None:
        """Return the account of a caller that was found before; None for a deleted key.

        Args:
            key_id: The id of the caller's key; None for a caller without one.
            address: The caller's address.

        Raises:
            Refusal: Too many addresses send requests.
        """
        if key_id is None:
            return self._without_key(address, self._clock.now())
        entry = self._ring.by_id.get(key_id)
        return None if entry is None else Account(entry, self._keys.limits_of(key_id))

    def _without_key(self, address: str, now: int) -> Account:
        limits = self._addresses.limits_of(address, now)
        if limits is None:
            raise overloaded(_NO_ROOM)
        return Account(None, limits)

    def reserve(
        self,
        account: Account,
        model: str,
        headers: list[tuple[bytes, bytes]],
        *,
        input_tokens: int,
        output_tokens: int,
    ) -> Charge:
        """Reserve the most that a completion can use, and open its row.

        Args:
            account: The account that pays.
            model: The requested model.
            headers: Gets the response headers that report the limits, also of a refusal.
            input_tokens: Counted input tokens, or a high estimate.
            output_tokens: The most tokens that it can write.

        Raises:
            Refusal: A limit is reached, or the key has a budget of money and nothing has a price.
        """
        now, limits, book = self._clock.now(), account.limits, self.book
        entry, prices, cost = account.entry, self._terms.prices, 0
        try:
            # Another model than the requested one may answer.
            if (price := prices.find(model) or prices.highest) is not None:
                cost = price.cost(input_tokens, 0, output_tokens)
            elif entry is not None and entry.budgets.cost is not None:
                raise Refusal(
                    Kind.FORBIDDEN,
                    "This key has a budget of money, and the server has no prices. Let its "
                    "operator set [prices].",
                )
            reserved = limits.reserve(now, input_tokens, output_tokens, cost)
            if isinstance(reserved, LimitReached):
                if self.before_refusal is not None:
                    self.before_refusal()
                    now = self._clock.now()
                    reserved = limits.reserve(now, input_tokens, output_tokens, cost)
                if isinstance(reserved, LimitReached):
                    book.refused[reserved.limit] += 1
                    raise limit_refusal(reserved, now)
        finally:
            headers += limits.headers.at(now)
        book.reserved_tokens += input_tokens + output_tokens
        ticket = 0
        if book.ledger is not None:
            number, name = (NO_KEY, "") if entry is None else (entry.id, entry.name)
            moment = now // _MILLISECOND_NS
            ticket = book.ledger.open_row(
                Opening(moment, number, name, model, input_tokens, output_tokens, cost)
            )
        return Charge(book, reserved, prices, model, ticket)

    async def admit(
        self,
        account: Account,
        model: str,
        headers: list[tuple[bytes, bytes]],
        *,
        input_tokens: int,
        output_tokens: int,
    ) -> Charge:
        """Reserve at once. See `AccountAccess.admit`."""
        return self.reserve(
            account, model, headers, input_tokens=input_tokens, output_tokens=output_tokens
        )
