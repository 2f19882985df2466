"""Model names with the wildcard `*`. Brackets and `?` match themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable


def compile_patterns(texts: Iterable[str]) -> re.Pattern[str]:
    """Return a regular expression whose full matches are the names that one of the patterns means.

    Each part takes its first place and keeps it, so that matching a long name takes linear time.
    """
    return re.compile("|".join(map(_expression, texts)), re.DOTALL)


def _expression(text: str) -> str:
    start, *rest = map(re.escape, text.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return f"{start}{middle}.*{rest[-1]}" if rest else start
