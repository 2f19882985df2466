"""The times between the tokens of one completion, counted in the buckets of a histogram."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tenuto.core.value import value

# From a small model on one machine, which writes hundreds of tokens a second, to a large one that
# waits for others.
GAP_BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5),
    *(0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
"""Upper bounds of the buckets in seconds, inclusive; the last bucket has none."""


@value
class TokenGaps:
    """The times between tokens, those before the first one excluded.

    Attributes:
        counts: Number of gaps in each bucket.
        total_s: Their sum in seconds.
    """

    counts: Sequence[int]
    total_s: float
