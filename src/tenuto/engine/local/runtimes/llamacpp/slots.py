"""Assign llama.cpp's slots to jobs, so that no tenant reads the cache of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

# As in the library. All prompts share a prefix, the first words of a template.
_MIN_SHARED: Final = 0.1


@dataclass(slots=True, eq=False)
class Slot:
    """A slot of the library, with tenant and prompt of its cache; None if unknown or empty.

    `used` is the number of its last job, in the order of their starts.
    """

    number: int
    tenant: str | None = None
    prompt: Sequence[int] = field(default=(), repr=False)
    used: int = 0
    busy: bool = False


class Slots:
    """All slots of the library."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._jobs = 0

    def take(self, tenant: str, prompt: Sequence[int]) -> tuple[Slot, bool] | None:
        """Return a free slot, and whether its cache may be read; None if all are busy.

        Prefer the tenant's slot with the longest common prefix, if that is at least a tenth of the
        prompt; else take the least recently used slot.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            return None
        own = [(_shared(slot.prompt, prompt), slot) for slot in free if slot.tenant == tenant]
        most, slot = max(own, key=lambda pair: pair[0], default=(0, free[0]))
        if most <= _MIN_SHARED * len(prompt):
            slot = min(free, key=lambda slot: slot.used)
        self._jobs += 1
        reads = slot.tenant == tenant
        slot.tenant = tenant if reads else None
        slot.prompt, slot.used, slot.busy = prompt, self._jobs, True
        return slot, reads

    def release(self, slot: Slot, owner: str | None) -> None:
        """Free a slot.

        `owner` is the tenant of a job that generated a token, so that its prompt has replaced the
        content of the slot; None for a job that ended before.
        """
        slot.busy = False
        if owner is not None:
            slot.tenant = owner


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common prefix of two prompts."""
    end = min(len(one), len(other))
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), end)
