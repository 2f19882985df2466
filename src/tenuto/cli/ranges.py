"""Ranges of numbers on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import typer

Number = TypeVar("Number", int, float, int | None, float | None)


def between(low: float, high: float | None = None) -> Callable[[Number], Number]:
    """Return the callback of an option that allows `low` to `high`; None for no upper end."""
    allowed = f"{low:,} or more" if high is None else f"{low:,} to {high:,}"

    def check(value: Number) -> Number:
        if value is not None and not (low <= value and (high is None or value <= high)):
            raise typer.BadParameter(f"{value} is out of range; allowed is {allowed}")
        return value

    return check
