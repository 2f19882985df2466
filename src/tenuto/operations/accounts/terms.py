"""The terms of all accounts: keys, limits for keys without their own, and prices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tenuto.core.value import value
from tenuto.operations.keys.entry import KeyEntry
from tenuto.operations.limits.budget import Budgets
from tenuto.operations.limits.limit import KeyLimits
from tenuto.operations.limits.prices import Prices

# Ids of keys in the settings are negative, so that they never are those of keys in a store.
_ID_BYTES: Final = 7
_NAME_DIGITS: Final = 8


@value
class Terms:
    """The terms that an operator sets in the settings.

    Attributes:
        hashes: SHA-256 of the keys in the settings, 32 bytes each.
        default: Limits of keys without their own, field by field, and of addresses.
        prices: Prices of models.
    """

    hashes: tuple[bytes, ...] = ()
    default: KeyLimits = KeyLimits()
    prices: Prices = Prices()


@value
class EffectiveTerms:
    """The limits and budgets of one key."""

    limits: KeyLimits
    budgets: Budgets


def entries_of(hashes: Iterable[bytes], stored: Iterable[KeyEntry]) -> list[KeyEntry]:
    """Return all keys: those of a store, and those of the settings that the store lacks.

    A key of the settings is named by the first digits of its hash, as in `sha256:1f2e3d4c`. Its id
    follows from the hash, so that it is the same after a restart.
    """
    entries = list(stored)
    known = {entry.hash for entry in entries}
    for each in dict.fromkeys(hashes):
        if each not in known:
            number = -1 - int.from_bytes(each[:_ID_BYTES], "big")
            entries.append(KeyEntry(number, f"sha256:{each.hex()[:_NAME_DIGITS]}", each))
    return entries


def terms_of_keys(entries: Mapping[int, KeyEntry], default: KeyLimits) -> dict[int, EffectiveTerms]:
    """Return the terms of keys by id, with default limits in place of absent ones."""
    terms = {}
    for number, entry in entries.items():
        own = entry.limits
        limits = KeyLimits(
            _or(own.requests_per_minute, default.requests_per_minute),
            _or(own.input_tokens_per_minute, default.input_tokens_per_minute),
            _or(own.output_tokens_per_minute, default.output_tokens_per_minute),
            _or(own.concurrent, default.concurrent),
        )
        terms[number] = EffectiveTerms(limits, entry.budgets)
    return terms


def _or(own: int | None, default: int | None) -> int | None:
    return default if own is None else own
