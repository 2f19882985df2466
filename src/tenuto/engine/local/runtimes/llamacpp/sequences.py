"""Sequences of the KV cache, and the prefixes that they hold.

A sequence is a number of the library. Those of ended jobs are kept until they are evicted, the
least recently used first, for want of cells or numbers. Prefixes are copied between sequences: the
marks of their cells if all sequences share one stream of cells, else the cells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tenuto.engine.local.runtimes.llamacpp.capi import Library

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """Properties of a context's sequences.

    Attributes:
        count: Their number.
        streams: Whether each has a stream of cells of its own.
        partial: Whether its end can be removed; not from recurrent states.
        window: Size of the sliding window of some layers; 0 if they have none.
        keeps: Whether those of ended jobs are kept.
    """

    count: int
    streams: bool
    partial: bool
    window: int
    keeps: bool


class Sequences:
    """All sequences of a context, running and kept.

    Args:
        library: The library.
        memory: The context's memory.
        abilities: What it can do.
    """

    def __init__(self, library: Library, memory: int, abilities: Abilities) -> None:
        self._library, self._memory, self._abilities = library, memory, abilities
        self._free = set(range(abilities.count))
        self._running: set[Sequence] = set()
        # The least recently used first.
        self._kept: dict[Sequence, None] = {}

    def open(self, sequence: Sequence, *, reuse: bool) -> None:
        """Give a sequence a number and, if `reuse`, the longest cached prefix."""
        shared, donor = self._longest(sequence) if reuse else (0, None)
        if donor in self._kept:
            self._kept[donor] = self._kept.pop(donor)
        sequence.number = self._lowest()
        self._free.remove(sequence.number)
        self._running.add(sequence)
        # The donor is evicted if it was the only one.
        if donor is not None and donor.number >= 0:
            self._copy(donor, sequence.number, shared)
            sequence.computed = shared
            if donor in self._kept and shared == donor.computed:
                # The new sequence has all that it had.
                del self._kept[donor]
                self._remove(donor)

    def close(self, sequence: Sequence) -> None:
        """Keep the tokens of an ended job, or remove them."""
        self._running.discard(sequence)
        self.cut(sequence, sequence.length)
        if self._abilities.keeps and sequence.computed:
            del sequence.ids[sequence.computed * TOKEN_BYTES :]
            self._kept[sequence] = None
        else:
            self._remove(sequence)

    def cut(self, sequence: Sequence, length: int) -> None:
        """Remove the computed tokens of a sequence beyond a length."""
        if length < sequence.computed:
            self._library.memory_seq_rm(self._memory, sequence.number, length, -1)
            sequence.computed = length

    def evict(self) -> bool:
        """Remove the least recently used kept sequence. Return False if all are in use."""
        for sequence in self._kept:
            del self._kept[sequence]
            self._remove(sequence)
            return True
        return False

    def compact(self) -> None:
        """Give running sequences the lowest numbers: only neighbours are computed together."""
        while self._running:
            last = max(self._running, key=lambda sequence: sequence.number)
            if last.number < len(self._running):
                return
            self._move(last, self._lowest())

    def _lowest(self) -> int:
        """Return the lowest number that is not running; a kept sequence leaves it."""
        if not self._free:
            self.evict()
        taken = {sequence.number for sequence in self._running}
        number = next(number for number in range(self._abilities.count) if number not in taken)
        for sequence in self._kept:
            if sequence.number == number:
                self._move(sequence, max(self._free))
        return number

    def _move(self, sequence: Sequence, to: int) -> None:
        self._copy(sequence, to, sequence.computed)
        self._library.memory_seq_rm(self._memory, sequence.number, -1, -1)
        self._free.remove(to)
        self._free.add(sequence.number)
        sequence.number = to

    def _copy(self, source: Sequence, to: int, count: int) -> None:
        if self._abilities.streams:
            # Whole streams only.
            self._library.memory_seq_cp(self._memory, source.number, to, -1, -1)
            if count < source.computed:
                self._library.memory_seq_rm(self._memory, to, count, -1)
        else:
            self._library.memory_seq_cp(self._memory, source.number, to, 0, count)

    def _remove(self, sequence: Sequence) -> None:
        if sequence.number >= 0:
            self._library.memory_seq_rm(self._memory, sequence.number, -1, -1)
            self._free.add(sequence.number)
            sequence.number, sequence.computed = -1, 0

    def _longest(self, sequence: Sequence) -> tuple[int, Sequence | None]:
        most, found = 0, None
        for other in (*self._kept, *self._running) if self._abilities.keeps else ():
            if other.computed > most:
                shared = min(other.computed, shared_length(sequence, other, most))
                if shared > most and self._may_copy(other, shared):
                    most, found = shared, other
        return most, found

    def _may_copy(self, other: Sequence, shared: int) -> bool:
        if not self._abilities.partial:
            return shared == other.computed
        window, first = self._abilities.window, 0
        if window:
            # Cells that the window has left may hold other tokens by now.
            first = self._library.memory_seq_pos_min(self._memory, other.number)
        return first <= max(0, shared - window)


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
