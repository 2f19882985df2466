"""Who may ask: API keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.datastructures import Headers

from tenuto.server.request_headers import agreed
from tenuto.wire.errors import AuthenticationError

PREFIX = "sha256:"


def hash_key(key: str) -> str:
    """The hash of a key, as settings hold it.

    A plain SHA-256 is enough for keys, which are long and random, unlike passwords.
    """
    return PREFIX + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def caller_key(headers: Headers) -> str | None:
    """The key that a request came with, in either header.

    Raises:
        AuthenticationError: It came with different ones in the same header.
    """
    key = _only(headers, "x-api-key")
    if key is not None:
        return key
    scheme, _, token = (_only(headers, "authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _only(headers: Headers, name: str) -> str | None:
    try:
        return agreed(headers.getlist(name))
    except ValueError:
        raise AuthenticationError(f"{name}: different values were sent. Send one.") from None


class Keys:
    """The keys that are allowed.

    Args:
        entries: Hashes from `hash_key`, or keys as they are. None at all allows everyone.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = [entry if entry.startswith(PREFIX) else hash_key(entry) for entry in entries]

    def check(self, headers: Headers) -> None:
        """Lets a request pass that has a key. `x-api-key` counts where both headers are there.

        Raises:
            AuthenticationError: There is no key, or a wrong one.
        """
        if not self._hashes:
            return
        key = _only(headers, "x-api-key")
        if key is not None:
            if not self._knows(key):
                raise AuthenticationError("invalid x-api-key")
            return
        scheme, _, token = (_only(headers, "authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationError("x-api-key header is required")
        if not self._knows(token.strip()):
            raise AuthenticationError("Invalid bearer token")

    def _knows(self, key: str) -> bool:
        # All are compared, each in constant time: how long it takes tells nothing.
        given = hash_key(key)
        return sum(hmac.compare_digest(given, known) for known in self._hashes) > 0
