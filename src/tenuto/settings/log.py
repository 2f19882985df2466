"""`[log]`: the server's log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: the log on standard error.

    Attributes:
        level: The lowest level to write. Each request is a line at `info`, or at `warning` if an
            operator should see it; probes of `/health` and `/ready` are logged at `debug`.
        format: `text`, or `json` with an object on each line.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"
