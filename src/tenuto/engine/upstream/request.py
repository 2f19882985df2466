"""A job as a request to an upstream, and how its response is read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tenuto.engine.upstream.reading import Read
from tenuto.prompt.render import Continuation


@dataclass(slots=True)
class UpstreamRequest:
    """A job in the form that an upstream accepts.

    Attributes:
        path: Path of the endpoint, below the upstream's base URL.
        body: The request's JSON; always has a field `stream`.
        read: Reads the JSON objects of the response.
        headers: Headers on top of those of every request; the key is added to them.
        continuation: Turns the text of a chat response into a completion; None if it is one.
        model: Name of the model if the response does not have it.
        warnings: What was changed or left out of the job, a sentence each.
        tokens_field: Name of the field that limits the tokens of the response.
        is_capped: Whether that field was lowered to the room that the upstream reported.
    """

    path: str
    body: dict[str, Any]
    read: Read
    headers: dict[str, str] = field(default_factory=dict)
    continuation: Continuation | None = None
    model: str | None = None
    warnings: list[str] = field(default_factory=list)
    tokens_field: str = "max_tokens"
    is_capped: bool = False

    @property
    def awaits_usage(self) -> bool:
        """Whether the usage may come after the end of the text."""
        return "stream_options" in self.body


Steps: TypeAlias = Generator[None, None, UpstreamRequest]
"""Generator that returns a request. Yields between two slices of work for other requests."""
