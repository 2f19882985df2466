"""`[log]`: the server's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: what the server writes to standard error.

    Attributes:
        level: The least level that is written. Each request is a line at `info`, at `warning` if
            an operator should see it; probes of `/health` and `/ready` are at `debug`.
        format: `text`, or `json` for one object a line.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
