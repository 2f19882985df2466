"""Who may ask: API keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers

from tenuto.core.caller import Caller
from tenuto.core.refusal import Kind, Refusal
from tenuto.server.request_headers import agreed

PREFIX = "sha256:"


def hash_key(key: str) -> str:
    """The hash of a key, as settings hold it.

    A plain SHA-256 is enough for keys, which are long and random, unlike passwords.
    """
    return PREFIX + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def _only(headers: Headers, name: str) -> str | None:
    try:
        return agreed(headers.getlist(name))
    except ValueError:
        raise Refusal(
            Kind.UNAUTHENTICATED, f"{name}: different values were sent. Send one."
        ) from None


class Keys:
    """The keys that are allowed.

    Args:
        entries: Hashes from `hash_key`, or keys as they are. None at all allows everyone.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = [entry if entry.startswith(PREFIX) else hash_key(entry) for entry in entries]

    def caller(self, headers: Headers) -> Caller:
        """Return the sender of a request. `x-api-key` counts where both headers are there.

        Raises:
            Refusal: It has no key, or a wrong one, where one is needed; or different ones in one
                header.
        """
        key = _only(headers, "x-api-key")
        problem = "invalid x-api-key"
        if key is None:
            scheme, _, token = (_only(headers, "authorization") or "").partition(" ")
            key = token.strip() if scheme.lower() == "bearer" else None
            problem = "Invalid bearer token" if key is not None else "x-api-key header is required"
        hashed = None if key is None else hash_key(key)
        if self._hashes and not (hashed and self._knows(hashed)):
            raise Refusal(Kind.UNAUTHENTICATED, problem)
        return Caller(hashed or "", key)

    def _knows(self, hashed: str) -> bool:
        # All are compared, each in constant time: how long it takes shows nothing.
        return sum(hmac.compare_digest(hashed, known) for known in self._hashes) > 0
