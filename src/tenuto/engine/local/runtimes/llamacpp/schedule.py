"""Choice of the tokens of a step: one of each running completion, then parts of prompts."""

from __future__ import annotations

from typing import Final

from tenuto.engine.local.runtimes.llamacpp.job import Job
from tenuto.engine.local.runtimes.llamacpp.sequence import shared_length
from tenuto.engine.local.runtimes.llamacpp.sequences import Abilities, Sequences

# Fewer shared tokens cost less than a job's wait for them.
_LEAST_SHARED: Final = 128

# Tokens of one sequence that are computed alike in a batch and one by one. With more, the library's
# flash attention takes another kernel, which sums in other places with 32 instead of 16 bits.
_ALIKE: Final = 63

MOST_REPORTED: Final = 512
"""Tokens of a prompt whose known scores are returned in one step."""


class Schedule:
    """The jobs of a batch.

    Args:
        sequences: The sequences.
        abilities: What they can do.
        rows: Most logits in a step.
    """

    def __init__(self, sequences: Sequences, abilities: Abilities, rows: int) -> None:
        self._sequences = sequences
        self._holds = abilities.keeps
        self._partial = abilities.partial
        self._streams = abilities.stream > 0
        self._drafts = abilities.partial and not abilities.window
        self._most_rows = rows
        # Jobs whose prompts are not computed, and the others.
        self._reading: dict[int, Job] = {}
        self._generating: dict[int, Job] = {}

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self._reading) + len(self._generating)

    def keys(self) -> list[int]:
        """Return the keys of all jobs."""
        return [*self._generating, *self._reading]

    def add(self, job: Job) -> None:
        """Add a job, whose prompt is to be computed."""
        self._reading[job.key] = job

    def computed(self, job: Job) -> None:
        """Move a job whose prompt is computed."""
        self._generating[job.key] = self._reading.pop(job.key)

    def pop(self, key: int) -> Job:
        """Remove a job."""
        return self._generating.pop(key, None) or self._reading.pop(key)

    def parts(self, room: int) -> list[tuple[Job, int]]:
        """Return jobs with the number of tokens to compute of each, at most `room` together."""
        parts = [(job, 1) for job in self._generating.values()]
        if self._drafts and len(self) == len(parts) == 1:
            parts = [(job, 1 + self._draft(job)) for job, _ in parts]
        generating = len(parts)
        room -= generating
        stops = self._open()
        # Each job has one row, except for those that wait for the prefix of another.
        waiting = sum(job.cached is None for job in self._reading.values())
        rows = self._most_rows - len(self) + waiting
        for key, job in self._reading.items():
            sequence = job.sequence
            left = min(stops.get(key, sequence.length) - sequence.computed, job.most(_ALIKE))
            count = self._part(left, room, is_first=len(parts) == generating)
            if job.unreported > MOST_REPORTED:
                continue
            if job.sequence.scores is not None:
                count = min(count, 1 + rows)
                rows -= count - 1
            if job.cached is not None and count > 0:
                parts.append((job, count))
                room -= count
        self._sequences.compact()
        parts.sort(key=lambda part: part[0].sequence.number)
        return parts

    def batches(self, room: int) -> list[list[tuple[Job, int]]]:
        """Return the parts of a step, each list for a batch of its own.

        With streams, the library computes as many tokens of each sequence of a batch together as
        the shortest part has, so long parts are alone.
        """
        parts = self.parts(room)
        if not self._streams:
            return [parts]
        short = [part for part in parts if part[1] <= _ALIKE]
        return [short, *([part] for part in parts if part[1] > _ALIKE)]

    def _part(self, left: int, room: int, *, is_first: bool) -> int:
        """Return how many of the `left` tokens of a prompt to compute.

        So that they are computed alike whatever runs beside them: no part has at most `_ALIKE`
        tokens, unless the whole does, or only so few fit into a batch.
        """
        if left <= max(room, _ALIKE) or not self._streams:
            return min(left, room)
        count = min(room, left - _ALIKE - 1)
        if count > _ALIKE:
            return count
        return room if is_first else 0

    def scored(self) -> list[Job]:
        """Return the jobs whose prompts are scored now."""
        return [job for job in self._reading.values() if job.is_scoring]

    def _draft(self, job: Job) -> int:
        """Append a draft to the tokens of a job, and return its length."""
        if job.min_tokens:
            return 0  # The samplers change after that number of tokens.
        sequence = job.sequence
        sequence.ids += job.drafts.find(sequence, min(job.left, self._most_rows) - 1)
        return job.drafts.size

    def _open(self) -> dict[int, int]:
        """Give new jobs their cached prefixes, except those that wait for a prefix of another.

        Returns:
            Where prompts stop, because others wait for that prefix: a recurrent state cannot be
            cut back, so it is copied when nothing else is computed.
        """
        stops: dict[int, int] = {}
        computing: list[Job] = []
        for job in self._reading.values():
            if job.cached is None and not self._waits(job, computing, stops):
                self._sequences.open(job.sequence)
                job.cached = job.sequence.computed
            if job.cached is not None:
                computing.append(job)
        return stops

    def _waits(self, job: Job, computing: list[Job], stops: dict[int, int]) -> bool:
        # A scored prompt takes a prefix without its last token: the cache must be cut there.
        holds = self._holds and (job.sequence.scores is None or self._partial)
        for other in computing if holds else ():
            shared = shared_length(job.sequence, other.sequence, _LEAST_SHARED - 1, eventually=True)
            if shared - other.sequence.computed >= (1 if job.held else _LEAST_SHARED):
                stops[other.key] = min(shared, stops.get(other.key, shared))
                job.held = True
                return True
        return False
