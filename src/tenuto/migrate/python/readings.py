"""Places that read a stream: loops, and comprehensions that run where they stand."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final, TypeAlias

from tenuto.migrate.python.source import Source

Loop: TypeAlias = ast.For | ast.AsyncFor
LOOPS: Final = (ast.For, ast.AsyncFor)
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
_COMPREHENSIONS: Final = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Calls that read a generator before they return.
_READERS: Final = {"list", "tuple", "set", "sum", "sorted", "min", "max"}
_SIMPLE: Final = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)
# Expressions in front of which nothing else of their statement has to run.
_FIRST: Final = (
    *(ast.Attribute, ast.keyword, ast.Starred, ast.JoinedStr, ast.FormattedValue),
    ast.YieldFrom,
)


@dataclass(frozen=True)
class Reading:
    """A place that reads a stream.

    Attributes:
        statement: The loop, or the statement with the comprehension.
        stream: The expression that is the stream.
        element: The variable for its elements.
        comprehension: The comprehension, or None for a loop.
    """

    statement: ast.stmt
    stream: ast.expr
    element: ast.expr
    comprehension: Comprehension | None = None


def reading_of(stream: ast.expr, source: Source) -> Reading | None:
    """Return the loop or the comprehension over an expression, if that is all that it does."""
    parent = source.parents[stream]
    match parent:
        case ast.For() | ast.AsyncFor() if parent.iter is stream:
            return Reading(parent, stream, parent.target)
        case ast.Call(func=ast.Name(id="enumerate"), args=[first, *_]) if first is stream:
            loop = source.parents[parent]
            if isinstance(loop, ast.For) and loop.iter is parent:
                match loop.target:
                    case ast.Tuple(elts=[ast.Name(), ast.Name() as element]):
                        return Reading(loop, stream, element)
                    case _:
                        return None
        case ast.comprehension(iter=whole, target=target) if whole is stream:
            around = source.parents[parent]
            if (
                isinstance(around, _COMPREHENSIONS)
                and around.generators[0] is parent
                and _runs_at_once(around, source)
            ):
                return Reading(source.statement(around), stream, target, around)
        case _:
            pass
    return None


def _runs_at_once(comprehension: Comprehension, source: Source) -> bool:
    """Return whether the statement of a comprehension has read its stream when it is done."""
    for outer in source.ancestors(comprehension):
        if isinstance(outer, ast.stmt):
            break
        if isinstance(outer, (*_COMPREHENSIONS, ast.Lambda)):
            return False
    if not isinstance(comprehension, ast.GeneratorExp):
        return True
    match source.parents[comprehension]:
        case ast.YieldFrom():
            return True
        case ast.Call(func=ast.Attribute(attr="join"), args=[only]):
            return only is comprehension
        case ast.Call(func=ast.Name(id=name), args=[first, *_]):
            return name in _READERS and first is comprehension
        case _:
            return False


def is_first_of_its_statement(reading: Reading, source: Source) -> bool:
    """Return whether the stream can be made before the statement that reads it.

    That is so if the statement is a simple one, begins its line, and runs nothing else before.
    """
    statement = reading.statement
    if not isinstance(statement, _SIMPLE):
        return False
    line = source.text[source.line_start(statement.lineno) : source.start(statement)]
    if line.strip():
        return False
    place = source.start(reading.stream)
    child: ast.AST = reading.stream
    for outer in source.ancestors(reading.stream):
        if outer is statement:
            break
        if isinstance(outer, ast.Call):
            if child is not outer.func and any(
                isinstance(each, ast.Call | ast.Await | ast.NamedExpr)
                for each in ast.walk(outer.func)
            ):
                return False
        elif not isinstance(outer, (*_FIRST, *_COMPREHENSIONS, ast.comprehension)):
            return False
        child = outer
    inside = {id(each) for each in ast.walk(reading.stream)}
    around = set(map(id, source.ancestors(reading.stream)))
    return not any(
        isinstance(each, ast.Call | ast.Await | ast.NamedExpr | ast.Yield | ast.YieldFrom)
        and id(each) not in inside | around
        and source.start(each) < place
        and id(reading.comprehension) not in set(map(id, source.ancestors(each)))
        for each in ast.walk(statement)
    )
