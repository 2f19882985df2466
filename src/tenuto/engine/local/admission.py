"""Who may run: jobs join the batch when the KV cache can hold them to their very end.

The runtime allots blocks as a completion grows, and drops work when they run out. So a job is
let in only when the blocks of its whole prompt and all tokens that it may write are free, and
they stay reserved until it has gone. Nobody overtakes: a job at the head of the queue that needs
much room is not starved by small ones behind it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T]):
    """A job in the queue: how many blocks it needs, and whatever its owner needs to run it."""

    blocks: int
    job: T


class Admission(Generic[T]):
    """The queue and the reservations.

    Args:
        blocks: Blocks of the KV cache that may be reserved.
        max_running: Most jobs at the same time.
        max_waiting: Most jobs in the queue.
    """

    def __init__(self, blocks: int, max_running: int, max_waiting: int) -> None:
        self._free = self._blocks = blocks
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._queue: OrderedDict[int, Waiting[T]] = OrderedDict()
        self._running: dict[int, int] = {}

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._queue)

    @property
    def reserved(self) -> int:
        """How many blocks are reserved."""
        return self._blocks - self._free

    @property
    def may_run_another(self) -> bool:
        """Whether one more job runs at once if it is small enough."""
        return not self._queue and len(self._running) < self._max_running

    def offer(self, key: int, job: Waiting[T], others: int = 0) -> bool:
        """Puts a job into the queue; False if it is full.

        A job that can run at once is always taken. `admit` is due after every offer: until then
        the job counts as waiting.

        Args:
            key: The job's name.
            job: It.
            others: How many wait elsewhere, to come here later: they have a place too.
        """
        runs_at_once = not self._queue and self._has_room(job)
        if len(self._queue) + others >= self._max_waiting and not runs_at_once:
            return False
        self._queue[key] = job
        return True

    def admit(self) -> list[tuple[int, T]]:
        """Takes all jobs off the queue that may run now, and reserves their blocks."""
        admitted = []
        while self._queue:
            key, first = next(iter(self._queue.items()))
            if not self._has_room(first):
                break
            del self._queue[key]
            self._running[key] = first.blocks
            self._free -= first.blocks
            admitted.append((key, first.job))
        return admitted

    def withdraw(self, key: int) -> bool:
        """Takes a job off the queue; False if it was not waiting."""
        return self._queue.pop(key, None) is not None

    def release(self, key: int) -> None:
        """Gives a running job's blocks back. Unknown keys are ignored."""
        self._free += self._running.pop(key, 0)

    def _has_room(self, job: Waiting[T]) -> bool:
        return len(self._running) < self._max_running and job.blocks <= self._free
