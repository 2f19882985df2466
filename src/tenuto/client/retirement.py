"""The warning about models that the service has retired, as in the official package."""

from __future__ import annotations

import sys
import warnings
from datetime import date

from tenuto.wire.names import retired_on


def warn_if_retired(model: object, warned: set[str]) -> None:
    """Warn about a model with a retirement date, once for each set `warned`."""
    end = retired_on(model) if isinstance(model, str) else None
    if end is None or model in warned:
        return
    assert isinstance(model, str)
    warned.add(model)
    retires = "retired" if end <= date.today() else "retires"
    warnings.warn(
        f"The service {retires} the model {model!r} on {end:%Y-%m-%d}, its end of life. A server "
        "of this API may answer to its name with a model of its own, which "
        "`client.models.list()` shows. Use that name instead.",
        DeprecationWarning,
        stacklevel=_frames_to_the_caller(),
    )


def _frames_to_the_caller() -> int:
    """Return the `stacklevel` of the first frame outside this package."""
    level, frame = 1, sys._getframe(1)
    package = __name__.partition(".")[0] + "."
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(package):
        level, frame = level + 1, frame.f_back
    return level
