"""The origins of expressions."""

from __future__ import annotations

import ast

import pytest

from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.source import Source

CALL = "x0.completions.create(prompt='', model='claude-2', max_tokens_to_sample=1)"


def circles(names: int, each: int) -> str:
    """Return a source whose names give each other values in a loop, in ever longer ways."""
    lines = ["import anthropic", "client = anthropic.Anthropic()"]
    lines += [f"x{number} = client" for number in range(names)]
    lines.append("while x0:")
    for number in range(names):
        for step in range(1, each + 1):
            other, more = (number * 7 + step * 3 + 1) % names, (number + step) % names
            lines.append(f"    x{number} = x{other}.part{number}(x{more}) or x{more}")
    return "\n".join([*lines, CALL, ""])


@pytest.mark.parametrize(("names", "each"), [(6, 2), (30, 3)])
def test_names_that_give_each_other_values_in_circles_are_followed_in_bounds(
    names: int, each: int
) -> None:
    # Every way through these circles would take years.
    origins = Origins(Source(circles(names, each)))
    calls = [node for node in origins.source.nodes if isinstance(node, ast.Call)]
    found = {path for call in calls for path in origins.paths(call.func)}
    assert "anthropic.Anthropic().completions.create" in found
    assert all(len(origins.of(call.func)) <= 64 for call in calls)


def test_origins_below_a_circle_are_whole() -> None:
    source = """
import anthropic, other
first = second = None
for one in two:
    first = second or anthropic.Anthropic()
    second = first or other.Client()
    use(first)
    use(second)
"""
    origins = Origins(Source(source))
    uses = [
        node.args[0]
        for node in origins.source.nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "use"
    ]
    for use in uses:
        assert {"anthropic.Anthropic()", "other.Client()"} <= origins.paths(use)
    # In whatever order they are looked at.
    for use in reversed(uses):
        again = Origins(origins.source)
        assert again.paths(use) == origins.paths(use)
