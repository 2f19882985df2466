"""An answer to a request as it comes, before it is measured."""

from __future__ import annotations

from tenuto.compare.answer import MOST_CHARS
from tenuto.core.job import Accepted
from tenuto.stream.meter import Meter
from tenuto.stream.transcript import Transcript

_UNKNOWN = Accepted()


class Reply(Transcript):
    """The text of an answer, with what is needed to measure it later.

    Args:
        meter: Measures the answer.
        accepted: How it began, if that is known.

    Attributes:
        meter: The meter.
        accepted: How it began.
        error: Why it broke off; "" without an error.
        ended_at: Time of its end on the clock of the meter, 0 before it.
    """

    __slots__ = ("accepted", "ended_at", "error", "meter")

    def __init__(self, meter: Meter, accepted: Accepted = _UNKNOWN) -> None:
        super().__init__(MOST_CHARS)
        self.meter = meter
        self.accepted = accepted
        self.error = ""
        self.ended_at = 0.0

    @property
    def tokens(self) -> int | None:
        """All tokens of a complete answer; None if it broke off, or a count is unknown."""
        counted = self.meter.counted
        if self.error or counted.input_tokens is None or counted.output_tokens is None:
            return None
        return counted.input_tokens + counted.output_tokens

    def finished(self) -> None:
        """Do nothing. A subclass may take the answer here, when its end or error is known."""
