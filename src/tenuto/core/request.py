"""One request for a completion, whatever the dialect it came in."""

from __future__ import annotations

from dataclasses import dataclass

from tenuto.core.job import Job
from tenuto.core.long_text import LongText


@dataclass(frozen=True, slots=True)
class Request:
    """A valid request.

    Attributes:
        job: What to write.
        stops: All stop sequences, those that the dialect adds included.
        echo: Text that the completion begins with, as sent; "" for none. No stop sequence ends it.
        reports_usage: Whether the caller sees what the completion took.
    """

    job: Job
    stops: tuple[str, ...]
    echo: str | LongText = ""
    reports_usage: bool = False
