"""Which requests may have killed the worker, so that their repetition does not do it again.

A worker's death does not say which of the jobs that it worked on was the cause. So each of them
is a suspect, and suspects that come again are tried one at a time, beside the other jobs, until
they have got further than they were at the death. The one that is on trial when the worker dies
again was the cause; where none is, those were that ran at both deaths.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from tenuto.core.job import Job
from tenuto.prompt.turns import raw_prompt

# How many requests are remembered, and for how long: the cause may pass, as memory that was short.
_MOST: Final = 1024
_FORGET_S: Final = 3600.0

# A trial ends after so many tokens, however far the job had got: others wait for theirs.
_MOST_TOKENS: Final = 32


class Verdict(Enum):
    """What becomes of a job that is to begin."""

    FREE = auto()
    TRIAL = auto()
    REFUSED = auto()


@dataclass(slots=True)
class Present:
    """A job that the worker worked on when it died.

    Attributes:
        job: It.
        tokens: How many it had written.
        on_trial: Whether it was on trial at that moment.
    """

    job: Job
    tokens: int
    on_trial: bool


@dataclass(slots=True)
class _Record:
    deaths: int
    tokens: int
    at: float


class Suspects:
    """Remembers hashes of requests, salted, and no prompt.

    Args:
        clock: Seconds, as `time.monotonic` has them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._salt = secrets.token_bytes(16)
        self._records: OrderedDict[bytes, _Record] = OrderedDict()

    def verdict(self, job: Job) -> Verdict:
        """What becomes of a job."""
        record = self._of(job)
        if record is None:
            return Verdict.FREE
        return Verdict.TRIAL if record.deaths == 1 else Verdict.REFUSED

    def trial_tokens(self, job: Job) -> int:
        """A trial ends when the job has written more tokens than these."""
        record = self._of(job)
        return 0 if record is None else min(record.tokens, _MOST_TOKENS)

    def clear(self, job: Job) -> None:
        """The job has ended as it should, so it was not the cause."""
        if self._records:
            self._records.pop(self._hash(job), None)

    def died(self, present: Sequence[Present], *, certain: bool = False) -> None:
        """The worker died.

        Args:
            present: What it worked on.
            certain: Whether nothing else can be the cause.
        """
        tried = any(each.on_trial for each in present)
        records: dict[bytes, _Record] = {}
        for each in present:
            key = self._hash(each.job)
            before = self._find(key)
            # Others that were here before have passed their trial, unless nobody is on trial.
            guilty = certain or each.on_trial or (before is not None and not tried)
            deaths = 2 if guilty else before.deaths if before is not None else 1
            # The same request may be here twice.
            same = records.get(key, _Record(0, 0, 0))
            records[key] = _Record(
                max(deaths, same.deaths), max(each.tokens, same.tokens), self._clock()
            )
        self._records |= records
        while len(self._records) > _MOST:
            self._records.popitem(last=False)

    def _find(self, key: bytes) -> _Record | None:
        record = self._records.get(key)
        if record is not None and self._clock() - record.at > _FORGET_S:
            del self._records[key]
            return None
        return record

    def _of(self, job: Job) -> _Record | None:
        # A long prompt takes a while to hash, and nearly always there is nothing to look for.
        return self._find(self._hash(job)) if self._records else None

    def _hash(self, job: Job) -> bytes:
        """A request that is sent again has the same, and another caller's has another."""
        digest = hashlib.blake2b(key=self._salt, digest_size=16)
        for piece in job.prompt.pieces():
            digest.update(piece.encode("utf-8", "surrogatepass"))
        rest = replace(job, prompt=raw_prompt(""))
        digest.update(repr((rest, job.caller.key)).encode("utf-8", "backslashreplace"))
        return digest.digest()
