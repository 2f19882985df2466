"""Which of llama.cpp's slots a job gets, so that no caller reads the cache of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

# As in the library's own choice. All prompts begin alike, with the first words of a template.
_LEAST_LIKENESS: Final = 0.1


@dataclass(slots=True, eq=False)
class Slot:
    """A slot, and what is left in it by the job that used it last.

    Attributes:
        number: The library's number of it.
        tenant: Whose prompt is in it; None if that is not known, or none is.
        prompt: That job's prompt.
        used: When it was, as a count of all jobs.
        busy: Whether a job has it now.
    """

    number: int
    tenant: str | None = None
    prompt: Sequence[int] = field(default=(), repr=False)
    used: int = 0
    busy: bool = False


class Slots:
    """Hands out slots.

    Args:
        count: How many there are.
    """

    def __init__(self, count: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._jobs = 0

    def take(self, tenant: str, prompt: Sequence[int]) -> tuple[Slot, bool] | None:
        """Returns a free slot, and whether its cache may be read; None if all are busy.

        It is the tenant's own slot whose prompt begins most like this one, if the likeness is
        worth what else is in there, or else the one that was not used for the longest time.
        """
        free = [slot for slot in self._slots if not slot.busy]
        if not free:
            return None
        own = [(_shared(slot.prompt, prompt), slot) for slot in free if slot.tenant == tenant]
        most, slot = max(own, key=lambda pair: pair[0], default=(0, free[0]))
        if most <= _LEAST_LIKENESS * len(prompt):
            slot = min(free, key=lambda slot: slot.used)
        self._jobs += 1
        reads = slot.tenant == tenant
        if not reads:
            slot.tenant = None
        slot.prompt, slot.used, slot.busy = prompt, self._jobs, True
        return slot, reads

    def release(self, slot: Slot, wrote: str | None) -> None:
        """Takes a slot back.

        Args:
            slot: The slot.
            wrote: The tenant whose job has written a token there, so that its prompt has replaced
                what was in the slot. None: the job ended before, and whose prompt it is stays.
        """
        slot.busy = False
        if wrote is not None:
            slot.tenant = wrote


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two prompts have in common at their beginning."""
    end = min(len(one), len(other))
    for place in range(end):
        if one[place] != other[place]:
            return place
    return end
