"""Types of settings: numbers with bounds."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Le

_YEAR_S = 31_536_000

Count = Annotated[int, Ge(1), Le(2**31 - 1)]
Amount = Annotated[int, Ge(1), Le(2**53 - 1)]
"""A number of requests or tokens, exact in JSON and in every database."""
Money = Annotated[float, Ge(0), Le(1_000_000_000)]
"""Units of a currency."""
Seconds = Annotated[float, Ge(0), Le(_YEAR_S)]
Positive = Annotated[float, Gt(0), Le(_YEAR_S)]
"""Seconds, more than 0."""
