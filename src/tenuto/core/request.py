"""A request for a completion, the same for every dialect."""

from __future__ import annotations

from tenuto.core.job import Job
from tenuto.core.long_text import LongText
from tenuto.core.value import value


@value
class Request:
    """A valid request.

    Attributes:
        job: The job for the engine.
        stops: All stop sequences, those of the dialect included.
        echo: Text that the completion begins with, exempt from stop matching; "" for none.
        reports_usage: Whether the caller sees the usage.
    """

    job: Job
    stops: tuple[str, ...]
    echo: str | LongText = ""
    reports_usage: bool = False
