"""Names of models that wildcards match."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.patterns import compile_patterns


@given(st.lists(st.text("ab*", max_size=8), min_size=1, max_size=3), st.text("ab*", max_size=10))
def test_patterns_match_names_by_their_wildcards(patterns: list[str], name: str) -> None:
    def matches(pattern: str, name: str) -> bool:
        if not pattern:
            return not name
        if pattern[0] == "*":
            return any(matches(pattern[1:], name[at:]) for at in range(len(name) + 1))
        return bool(name) and pattern[0] == name[0] and matches(pattern[1:], name[1:])

    found = compile_patterns(patterns).fullmatch(name)
    assert bool(found) == any(matches(pattern, name) for pattern in patterns)
