"""Who sent a request."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    Attributes:
        id: Stands for the key without giving it away; "" for callers without a key.
        key: The key itself, for upstreams that get the caller's own. Never logged.
    """

    id: str = ""
    key: str | None = field(default=None, repr=False)


ANONYMOUS = Caller()
