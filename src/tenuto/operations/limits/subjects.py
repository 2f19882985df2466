"""The limits of all keys, and those of the addresses of callers without a key."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol, TypeAlias

from tenuto.operations.limits.budget import Budgets
from tenuto.operations.limits.limit import KeyLimits
from tenuto.operations.limits.reservation import Limits

_Address: TypeAlias = int | str
_MAX_ADDRESSES: Final = 8192
# One customer often has a /48 of IPv6, which holds 65,536 of the /64 that count as one address.
_SHARE_OF_NETWORK: Final = 16
# Each new address looks at two of the oldest, so that the table shrinks faster than it grows.
_LOOKED_AT: Final = 2
_LOOKED_AT_WITHOUT_ROOM: Final = 32


class KeyTerms(Protocol):
    """The limits and budgets of one key."""

    @property
    def limits(self) -> KeyLimits: ...

    @property
    def budgets(self) -> Budgets: ...


class KeySubjects:
    """The limits of keys by their id, made when a key is first used.

    Args:
        terms: Limits and budgets of all keys, by id.
    """

    def __init__(self, terms: Mapping[int, KeyTerms]) -> None:
        self._terms = dict(terms)
        self._limits: dict[int, Limits] = {}

    def limits_of(self, key_id: int) -> Limits:
        """Return the limits of a key.

        Raises:
            KeyError: No key has this id.
        """
        limits = self._limits.get(key_id)
        if limits is None:
            terms = self._terms[key_id]
            limits = self._limits[key_id] = Limits(terms.limits, terms.budgets)
        return limits

    def change(self, terms: Mapping[int, KeyTerms], now: int) -> None:
        """Replace limits and budgets. Used amounts remain; those of deleted keys are dropped."""
        self._terms = dict(terms)
        self._limits = {key: each for key, each in self._limits.items() if key in self._terms}
        for key_id, limits in self._limits.items():
            limits.change(self._terms[key_id].limits, self._terms[key_id].budgets, now)


class AddressSubjects:
    """The limits of addresses. A /64 of IPv6 counts as one address, because one host has all of it.

    The number of addresses in memory is bounded, and an attack with many addresses must not reset
    the limits of one. So only idle addresses are forgotten, those with full buckets and without
    running requests: a new object admits the same. Without an idle one, new addresses are refused
    until a bucket is full again, a minute at most. One /48 of IPv6 gets a sixteenth of the room.

    Args:
        limits: The limits of each address.
        max_addresses: Most addresses in memory, 16 or more.
    """

    def __init__(self, limits: KeyLimits, max_addresses: int = _MAX_ADDRESSES) -> None:
        self._terms = limits
        self._unlimited = Limits(KeyLimits())
        self._max = max_addresses
        # The one that was added or looked at first is the first one.
        self._limits: OrderedDict[_Address, Limits] = OrderedDict()
        self._in_network: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._limits)

    def limits_of(self, address: str, now: int) -> Limits | None:
        """Return the limits of an address; None if the memory has no room for another one.

        Args:
            address: The client's address. Other texts, such as `-`, are one subject each.
            now: The moment.
        """
        if self._terms == KeyLimits():
            return self._unlimited
        name, network = _subject_of(address)
        limits = self._limits.get(name)
        if limits is not None:
            return limits
        self._forget_idle(now, _LOOKED_AT)
        if not self._has_room(network):
            self._forget_idle(now, _LOOKED_AT_WITHOUT_ROOM)
            if not self._has_room(network):
                return None
        limits = self._limits[name] = Limits(self._terms)
        if network is not None:
            self._in_network[network] += 1
        return limits

    def change(self, limits: KeyLimits, now: int) -> None:
        """Replace the limits. Used amounts remain."""
        self._terms = limits
        for each in self._limits.values():
            each.change(limits, Budgets(), now)

    def _has_room(self, network: int | None) -> bool:
        if network is not None and self._in_network[network] >= self._max // _SHARE_OF_NETWORK:
            return False
        return len(self._limits) < self._max

    def _forget_idle(self, now: int, most: int) -> None:
        """Look at the oldest addresses; forget the idle ones, and move the others to the end."""
        for _ in range(min(most, len(self._limits))):
            name, limits = self._limits.popitem(last=False)
            if not limits.is_idle(now):
                self._limits[name] = limits
            elif isinstance(name, int) and (network := _network_of(name)) is not None:
                self._in_network[network] -= 1
                if not self._in_network[network]:
                    del self._in_network[network]


@lru_cache(maxsize=4096)
def _subject_of(address: str) -> tuple[_Address, int | None]:
    """Return the name of an address, and its network if that is bounded."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address, None
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is None:
            name = (int(parsed) >> 64) + (1 << 32)
            return name, _network_of(name)
        parsed = parsed.ipv4_mapped
    return int(parsed), None


def _network_of(name: int) -> int | None:
    """Return the /48 of an IPv6 address; None for IPv4."""
    return (name - (1 << 32)) >> 16 if name >> 32 else None
