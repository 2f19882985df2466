"""Capabilities of the models of the Messages API, from the table `capabilities.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final, Literal

from tenuto.core.patterns import compile_patterns

_LONGEST_KEPT: Final = 128
"""Longest name whose row is remembered: callers may send names of any length."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """A row of the table; see there for the meaning of each column."""

    prefill: bool
    sampling: bool
    both: bool
    thinking: Literal["none", "off", "always"]
    max_output_tokens: int


def capabilities_of(model: str) -> ModelCapabilities:
    """Return the capabilities of a model.

    Args:
        model: For example `claude-haiku-4-5`, or a cloud platform's name such as
            `us.anthropic.claude-haiku-4-5-20251001-v1:0` or `claude-haiku-4-5@20251001`.
    """
    start = model.find("claude-")
    name = model[start:] if start >= 0 else model
    return _row_of(name) if len(name) <= _LONGEST_KEPT else _row_of.__wrapped__(name)


@lru_cache(maxsize=256)
def _row_of(name: str) -> ModelCapabilities:
    # The last row is for all names.
    return next(row for pattern, row in _table() if pattern.fullmatch(name))


@cache
def _table() -> list[tuple[re.Pattern[str], ModelCapabilities]]:
    file = resources.files("tenuto.engine.upstream").joinpath("capabilities.toml")
    rows: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["family"]
    return [(compile_patterns(row.pop("models")), ModelCapabilities(**row)) for row in rows]
