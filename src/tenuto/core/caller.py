"""The sender of a request."""

from __future__ import annotations

from dataclasses import field

from tenuto.core.value import value


@value
class Caller:
    """The sender of a request.

    Attributes:
        id: Identifies the key without revealing it; "" for callers without a key.
        key: The key itself, for upstreams that get the caller's own. Never logged.
    """

    id: str = ""
    key: str | None = field(default=None, repr=False)


ANONYMOUS = Caller()
