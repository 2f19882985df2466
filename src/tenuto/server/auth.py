"""API keys."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from starlette.types import Scope

from tenuto.core.job import Caller
from tenuto.core.refusal import Kind, Refusal
from tenuto.server.request_headers import header_values

PREFIX = "sha256:"


def hash_key(key: str) -> str:
    """Return the hash of a key for the settings.

    A plain SHA-256 is enough, because keys are long and random, unlike passwords.
    """
    return PREFIX + hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """The accepted keys: hashes from `hash_key`, or plain keys. Without any, all requests pass."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = [entry if entry.startswith(PREFIX) else hash_key(entry) for entry in entries]

    def caller(self, scope: Scope) -> Caller:
        """Return the caller of a request. `x-api-key` takes precedence over `authorization`.

        Raises:
            Refusal: The key is missing or invalid, or a header has two values.
        """
        key = _only_value(scope, b"x-api-key")
        problem = "invalid x-api-key"
        if key is None:
            scheme, _, token = (_only_value(scope, b"authorization") or "").partition(" ")
            key = token.strip() if scheme.lower() == "bearer" else None
            problem = "Invalid bearer token" if key is not None else "x-api-key header is required"
        hashed = "" if key is None else hash_key(key)
        # Compare all in constant time, so that the duration reveals nothing.
        matches = sum(hmac.compare_digest(hashed, known) for known in self._hashes)
        if self._hashes and not matches:
            raise Refusal(Kind.UNAUTHENTICATED, problem)
        return Caller(hashed, key)


def _only_value(scope: Scope, name: bytes) -> str | None:
    """Return the value of a header that should be unique, or None.

    The same value twice is valid, because a proxy may repeat a header, or join two by a comma.
    """
    values = header_values(scope, name)
    if len(values) == 1 and "," not in values[0]:
        return values[0].strip()
    parts = {part.strip() for value in values for part in value.split(",")}
    if len(parts) == 1:
        return parts.pop()
    if len(values) > 1:
        message = f"{name.decode()}: different values were sent. Send one."
        raise Refusal(Kind.UNAUTHENTICATED, message)
    return values[0] if values else None
