"""A job as a request to an upstream."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from tenuto.engine.upstream.reading import Manner


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A job in the form that an upstream takes.

    Attributes:
        path: Path of the endpoint, below the upstream's base URL.
        body: The request's JSON.
        headers: Headers on top of those that every request has; the key is added to them.
        manner: How the response is read.
        most: Name of the field that limits the tokens of the response.
    """

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    manner: Manner
    most: str = "max_tokens"


Steps: TypeAlias = Generator[None, None, UpstreamRequest]
"""Makes a request. Yields between two pieces of work, so that other requests go on."""
