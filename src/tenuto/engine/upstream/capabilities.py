"""What a model of the Messages API takes: the table `capabilities.toml`, and how it is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from tenuto.engine.upstream.patterns import Pattern

Thinking = Literal["none", "off", "always"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a family of models takes. The file says what each of these means."""

    prefill: bool
    sampling: bool
    both: bool
    thinking: Thinking
    max_output_tokens: int
    context_tokens: int


def capabilities_of(model: str) -> Capabilities:
    """What a model takes, by its name; names of cloud platforms are understood too.

    Args:
        model: For example `claude-haiku-4-5`, `us.anthropic.claude-haiku-4-5-20251001-v1:0` or
            `claude-haiku-4-5@20251001`.
    """
    start = model.find("claude-")
    name = model[start:] if start >= 0 else model
    for patterns, capabilities in _table():
        if any(pattern.matches(name) for pattern in patterns):
            return capabilities
    raise AssertionError("the last row of the table takes every name")


def families() -> tuple[tuple[str, ...], ...]:
    """The patterns of the table, row by row."""
    return tuple(tuple(pattern.text for pattern in patterns) for patterns, _ in _table())


@cache
def _table() -> tuple[tuple[tuple[Pattern, ...], Capabilities], ...]:
    from importlib import resources  # Late: slow to import, and settings load this module.

    file = resources.files("tenuto.engine.upstream").joinpath("capabilities.toml")
    rows: list[dict[str, Any]] = tomllib.loads(file.read_text(encoding="utf-8"))["family"]
    return tuple((tuple(map(Pattern, row.pop("models"))), Capabilities(**row)) for row in rows)
