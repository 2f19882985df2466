"""A sequence of tokens, and the prefix that two of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

TOKEN_BYTES: Final = 4


@dataclass(slots=True, eq=False)
class Sequence:
    """A sequence of the library.

    Attributes:
        tenant: Jobs of other tenants must not read it.
        ids: Its tokens as 32-bit numbers, those to be computed included.
        computed: Number of its tokens in the cache.
        number: For calls of the library; -1 before the first step.
    """

    tenant: str
    ids: bytearray = field(repr=False)
    computed: int = 0
    number: int = -1

    @property
    def length(self) -> int:
        """Number of its tokens."""
        return len(self.ids) // TOKEN_BYTES

    @property
    def is_computed(self) -> bool:
        """Whether all its tokens are in the cache."""
        return self.computed == self.length


def shared_length(one: Sequence, other: Sequence, least: int = 0) -> int:
    """Return the number of the first tokens of a sequence that it can take from another.

    Its last token is always computed, for the logits of the next. Return 0 if they are not more
    than `least`.
    """
    if one.tenant != other.tenant:
        return 0
    ids, others = one.ids, other.ids
    low, high = least + 1, min(one.length - 1, other.length)
    if low > high or not others.startswith(ids[: low * TOKEN_BYTES]):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if others.startswith(ids[low * TOKEN_BYTES : middle * TOKEN_BYTES], low * TOKEN_BYTES):
            low = middle
        else:
            high = middle - 1
    return low
