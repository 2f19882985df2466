"""Choice of the tokens of a step: one of each running completion, then parts of prompts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from tenuto.engine.local.runtimes.libllama.lookup import Drafts
from tenuto.engine.local.runtimes.libllama.sequences import (
    Abilities,
    Sequence,
    Sequences,
    shared_length,
)

# Fewer shared tokens cost less than a job's wait for them.
_LEAST_SHARED: Final = 128


@dataclass(slots=True, eq=False)
class Job:
    """A completion.

    Attributes:
        chain: Its samplers.
        left: Number of tokens that it may still generate.
        cached: Number of its tokens that were cached; None before its first step and after its
            first token.
    """

    key: int
    sequence: Sequence
    chain: int
    left: int
    logprobs: int | None
    cached: int | None = None
    drafts: Drafts = field(default_factory=Drafts)


class Schedule:
    """The jobs of a batch.

    Args:
        sequences: The sequences.
        abilities: What they can do.
    """

    def __init__(self, sequences: Sequences, abilities: Abilities) -> None:
        self._sequences = sequences
        self._dense = abilities.dense
        self._holds = abilities.keeps and not abilities.partial
        self._drafts = abilities.partial and not abilities.window
        self._most_rows = abilities.count
        # Jobs whose prompts are not computed, and the others.
        self._reading: dict[int, Job] = {}
        self._generating: dict[int, Job] = {}

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self._reading) + len(self._generating)

    def __iter__(self) -> Iterator[Job]:
        """Iterate over all jobs."""
        return chain(self._generating.values(), self._reading.values())

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
        room -= len(parts)
        held, stops = self._hold() if self._holds else (set[int](), dict[int, int]())
        for key, job in self._reading.items():
            if room <= 0:
                break
            if key in held:
                continue
            sequence = job.sequence
            if job.cached is None:
                self._sequences.open(sequence, (other.sequence for other in self))
                job.cached = sequence.computed
            end = stops.get(key, sequence.length)
            count = min(end - sequence.computed, room)
            parts.append((job, count))
            room -= count
        if self._dense:
            self._sequences.compact(job.sequence for job in self)
            parts.sort(key=lambda part: part[0].sequence.number)
        return parts

    def _draft(self, job: Job) -> int:
        """Append a draft to the tokens of a job, and return its length."""
        sequence = job.sequence
        sequence.ids += job.drafts.find(sequence, min(job.left, self._most_rows) - 1)
        return job.drafts.size

    def _hold(self) -> tuple[set[int], dict[int, int]]:
        """Return the jobs that wait for the state of another, and where each of those stops.

        A state cannot be cut back, so it is copied when just the common prefix is computed.
        """
        held: set[int] = set()
        stops: dict[int, int] = {}
        computing: list[Job] = []
        for key, job in self._reading.items():
            for other in computing if job.cached is None else ():
                shared = shared_length(job.sequence, other.sequence)
                if shared >= _LEAST_SHARED and shared > other.sequence.computed:
                    held.add(key)
                    stops[other.key] = min(shared, stops.get(other.key, shared))
                    break
            else:
                computing.append(job)
        return held, stops
