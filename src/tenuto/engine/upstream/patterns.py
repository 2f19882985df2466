"""Model names with the wildcard `*`. Brackets and `?` match themselves."""

from __future__ import annotations

import re


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression whose full matches are the names that a pattern means.

    Each part takes its first place and keeps it, so that matching a long name takes linear time.
    """
    start, *rest = map(re.escape, text.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(f"{start}{middle}.*{rest[-1]}" if rest else start, re.DOTALL)
