"""State of a response while it is read, and how a kind of upstream reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tenuto.core.job import Finish, Usage
from tenuto.core.text import well_formed
from tenuto.engine.upstream.errors import UpstreamError

_MAX_NAME: Final = 256


@dataclass(slots=True)
class Reading:
    """The state of a response. Written by the reader of its API.

    Attributes:
        begun: Whether the upstream has accepted the request.
        model: The model that responds, if the upstream names it.
        texts: Text since the last piece, one entry for each event.
        finish: Why the text ended; None before its end.
        done: Whether the response is over.
        stop: The matched stop sequence if the upstream removed it. Restored at the end of the
            text, so that the stop matching above the engines finds it.
        failure: Error that ends the response.
        usage: Tokens that the upstream counted.
        pings: Pings so far.
    """

    begun: bool = False
    model: str | None = None
    texts: list[str] = field(default_factory=list)
    finish: Finish | None = None
    done: bool = False
    stop: str = ""
    failure: UpstreamError | None = None
    usage: Usage | None = None
    pings: int = 0

    def begin(self, model: object) -> None:
        """Record that the upstream responds, and the model if it is a name."""
        self.begun = True
        if self.model is None and isinstance(model, str) and model:
            self.model = well_formed(model[:_MAX_NAME])


Read = Callable[[str, dict[str, Any], Reading], None]
"""Reads an event's name and object; a plain response is one event without a name."""


def count_in(usage: object, name: str) -> int | None:
    """Return a number of tokens in a response's usage; None if missing or invalid."""
    value = usage.get(name) if isinstance(usage, dict) else None
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < 2**53 else None
