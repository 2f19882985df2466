"""A string expression, flattened: characters, turn marks and holes, each with its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tenuto.core.prompt import ASSISTANT, HUMAN
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.source import Source
from tenuto.migrate.python.strings import Literal, literals

HOLE: Final = "\ue000"
"""Stands for a hole in a joined text."""
_MOST_NAMES: Final = 8
"""Variables and attributes that get their value from each other."""
_MARK_NAMES: Final = {"HUMAN_PROMPT": HUMAN, "AI_PROMPT": ASSISTANT}


@dataclass(frozen=True)
class Atom:
    """A part of a string expression.

    Attributes:
        value: A character, a mark of a turn, or `HOLE`.
        start: The offset of its source.
        end: The offset after its source.
        literal: The literal that contains it; None for an operand of `+`.
        expression: The source of a hole's expression, otherwise "".
    """

    value: str
    start: int
    end: int
    literal: Literal | None
    expression: str = ""


def constant_of(node: ast.AST, origins: Origins) -> str | None:
    """Return the mark that an expression stands for: a constant of the SDK, or an own one."""
    if not isinstance(node, ast.Name | ast.Attribute) or _is_given(node, origins):
        return None
    # A variable that is more than the constant in one branch is a hole.
    paths = origins.paths(node) - {"None"}
    marks = {_mark(path) for path in paths}
    if len(marks) == 1 and None not in marks:
        return marks.pop()
    if isinstance(node, ast.Name):
        bindings = origins.scopes.all_bindings(node.id, node)
        if len(bindings) == 1 and isinstance(bindings[0].node, ast.Constant):
            value = bindings[0].node.value
            if isinstance(value, str) and value.strip() in (HUMAN.strip(), ASSISTANT.strip()):
                return value
        if not bindings and not origins.scopes.stars:
            return None
    return None


def _is_given(node: ast.AST, origins: Origins, depth: int = _MOST_NAMES) -> bool:
    """Return whether callers may give a value: a parameter, or an attribute that keeps one.

    Its default, and what this source passes, are not all values that it can have.
    """
    if depth == 0:
        return True
    match node:
        case ast.Name(id=name):
            return any(
                binding.kind == "parameter"
                or (binding.kind == "value" and _is_given(binding.node, origins, depth - 1))
                for binding in origins.scopes.bindings(name, node)
            )
        case ast.Attribute(value=owner, attr=attr):
            return any(
                _is_given(value, origins, depth - 1)
                for each in origins.classes(owner)
                for value in origins.scopes.attributes(each).get(attr, [])
            )
        case _:
            return False


def _mark(path: str) -> str | None:
    head, _, name = path.rpartition(".")
    known = head.startswith(("anthropic", "tenuto", "constants."))
    return _MARK_NAMES.get(name) if known else None


def atoms(node: ast.expr, origins: Origins) -> list[Atom]:
    """Flatten an expression.

    Raises:
        ValueError: A literal cannot be read.
    """
    return list(_atoms(node, origins, origins.source))


def _atoms(node: ast.expr, origins: Origins, source: Source) -> Iterator[Atom]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _atoms(node.left, origins, source)
        yield from _atoms(node.right, origins, source)
    elif isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        yield from _of_literals(node, origins, source)
    else:
        start, end = source.span(node)
        mark = constant_of(node, origins)
        if mark is not None:
            yield Atom(mark, start, end, None)
        else:
            yield Atom(HOLE, start, end, None, source.text[start:end])


def _of_literals(node: ast.expr, origins: Origins, source: Source) -> Iterator[Atom]:
    start, end = source.span(node)
    holes = (
        [each for each in node.values if isinstance(each, ast.FormattedValue)]
        if isinstance(node, ast.JoinedStr)
        else []
    )
    number = 0
    for literal, items in literals(source.text, start, end):
        for item in items:
            if item.value is not None:
                if item.value:
                    yield Atom(item.value, item.start, item.end, literal)
                continue
            expression = source.text[item.start : item.end]
            # `{x=}` is a text and a hole for the parser; both are one hole here.
            hole = holes[number] if number < len(holes) else None
            number += 1
            plain = hole is not None and hole.conversion == -1 and hole.format_spec is None
            mark = constant_of(hole.value, origins) if hole is not None and plain else None
            if mark is not None:
                yield Atom(mark, item.start, item.end, literal)
            else:
                yield Atom(HOLE, item.start, item.end, literal, expression)
    if number != len(holes):
        raise ValueError("holes differ")


def rendered(parts: list[Atom], text: str) -> str | None:
    """Return the source of an expression for some consecutive atoms; None if it has none."""
    first, last = parts[0], parts[-1]
    raw = text[first.start : last.end]
    opening = closing = ""
    if first.literal is not None:
        prefix = first.literal.prefix
        braces = any(part.value == HOLE for part in parts) or "{" in raw or "}" in raw
        if first.literal is last.literal and not braces:
            prefix = prefix.replace("f", "").replace("F", "")
        opening = prefix + first.literal.quote
    if last.literal is not None:
        closing = last.literal.quote
        if len(closing) == 3 and raw.endswith(closing[0]):
            if last.literal.raw or last.end - last.start != 1:
                return None
            raw = f"{raw[:-1]}\\{raw[-1]}"
    result = opening + raw + closing
    return result if _is_same(result, parts) else None


def _is_same(result: str, parts: list[Atom]) -> bool:
    """Return whether a new expression has the value of the atoms."""
    try:
        source = Source(f"({result}\n)")
        expression = source.tree.body[0]
        assert isinstance(expression, ast.Expr)
        again = atoms(expression.value, Origins(source))
    except (SyntaxError, ValueError, AssertionError):
        return False
    return [(a.value, a.expression) for a in again] == [(a.value, a.expression) for a in parts]
