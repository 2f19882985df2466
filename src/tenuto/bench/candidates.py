"""Candidates of `tenuto tune`, their figures, and the choice among them. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

PREFILL: Final = 0
"""The shape of one long prompt; the other shapes are numbers of streams."""


class Purpose(StrEnum):
    """Numbers of completions that a server mostly runs at once."""

    ONE = "one"
    FEW = "few"
    MANY = "many"


_OBJECTIVES: Final[Mapping[Purpose, Sequence[int]]] = {
    Purpose.ONE: (PREFILL, 1),
    Purpose.FEW: (PREFILL, 1, 8),
    Purpose.MANY: (PREFILL, 8, 32),
}
_SHAPES: Final = (PREFILL, 1, 8, 32)

# The default of `max_running`; a larger one is meant for many.
_USUAL_RUNNING: Final = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """A runtime by its name in the settings and in sentences, with a number of threads."""

    runtime: str
    title: str
    threads: int

    def __str__(self) -> str:
        return f"{self.title}, {self.threads} thread{'s' * (self.threads > 1)}"


@dataclass(slots=True)
class Measured:
    """Figures of a candidate.

    Attributes:
        load_s: Seconds until the model was loaded; None if it was not.
        rates: Tokens per second of each measured shape: of the prompt, or of all streams.
        failure: Why shapes are missing, a phrase; "" if none are.
    """

    candidate: Candidate
    load_s: float | None = None
    rates: dict[int, float] = field(default_factory=dict)
    failure: str = ""

    def score(self, objective: Sequence[int]) -> float | None:
        """Return the geometric mean of the rates of an objective; None if one is missing."""
        rates = [self.rates.get(shape, 0.0) for shape in objective]
        return math.prod(rates) ** (1 / len(rates)) if all(rates) else None


def usual_purpose(max_running: int) -> Purpose:
    """Return the purpose that the setting `max_running` suggests."""
    if max_running == 1:
        return Purpose.ONE
    return Purpose.FEW if max_running <= _USUAL_RUNNING else Purpose.MANY


def objective(purpose: Purpose, max_running: int) -> list[int]:
    """Return the shapes that decide, with no more streams than run at once."""
    return _limited(_OBJECTIVES[purpose], max_running)


def shapes(purpose: Purpose, max_running: int) -> list[int]:
    """Return the shapes to measure: first those that decide, then the others."""
    return _limited((*_OBJECTIVES[purpose], *_SHAPES), max_running)


def thread_counts(cores: int, *, small: bool) -> list[int]:
    """Return the numbers of threads to measure; a small model may be fastest with one."""
    counts = [cores, cores - 1, *([1] if small else [])]
    return list(dict.fromkeys(count for count in counts if count >= 1))


def best_of(measured: Sequence[Measured], objective: Sequence[int]) -> Measured | None:
    """Return the candidate with the best score; None if no candidate has one."""
    scores = [(score, each) for each in measured if (score := each.score(objective)) is not None]
    return max(scores, key=lambda pair: pair[0])[1] if scores else None


def comparison(best: Measured, measured: Sequence[Measured], objective: Sequence[int]) -> str:
    """Return the gain of the choice over the best of the other runtimes; "" without another.

    The shape is the objective's last, or, without a gain there, the one with the largest gain.
    """
    runtime = best.candidate.runtime
    other = best_of([each for each in measured if each.candidate.runtime != runtime], objective)
    if other is None:
        return ""
    gains = {shape: best.rates[shape] / other.rates[shape] for shape in objective}
    shape = objective[-1]
    if gains[shape] < 1:
        shape = max(gains, key=gains.__getitem__)
    return (
        f"{gains[shape]:.1f} \N{MULTIPLICATION SIGN} {other.candidate.title} at {shape_text(shape)}"
    )


def shape_text(shape: int) -> str:
    """Return the name of a shape: `prefill`, `1 stream`, `8 streams`."""
    if shape == PREFILL:
        return "prefill"
    return f"{shape} stream{'s' * (shape > 1)}"


def _limited(streams: Sequence[int], max_running: int) -> list[int]:
    return list(dict.fromkeys(min(count, max_running) for count in streams))
