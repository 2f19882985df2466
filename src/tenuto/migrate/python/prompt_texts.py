"""Prompts of the old API in the literals of a source."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from tenuto.migrate import turns
from tenuto.migrate.evidence import is_beside_its_name, is_prompt_of_it
from tenuto.migrate.findings import Hardness
from tenuto.migrate.lexing import MOST_PLACES
from tenuto.migrate.python.plan import Note
from tenuto.migrate.python.source import Source

# Not constants, pins, remarks or test doubles alone.
_CERTAIN: Final = re.compile(r"TC103|TC40\d")
_CALL: Final = re.compile(r"TC10[12]")
# Methods that look for a mark in a text, or take one away.
_LOOKING: Final = re.compile(
    r"split|rsplit|r?partition|replace|startswith|endswith|[lr]?strip|r?find|r?index|count|"
    r"removeprefix|removesuffix|sub|search|match|escape|compile|len|assert\w*"
)
_REMEDIES: Final = {
    Hardness.MECHANICAL: "`fix` takes it apart at the call, or `to_messages` when the program runs"
}
_CONSTANTS: Final = ("HUMAN_PROMPT", "AI_PROMPT")
_CONSTANT: Final = re.compile(r"\{(?:HUMAN|AI)_PROMPT\}")
_STOP: Final = re.compile(r"stop|delimiter|separator|search|pattern", re.I)
_SEQUENCES: Final = (ast.List, ast.Tuple, ast.Set)
_COMPOUND: Final = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)


def level_of(notes: Sequence[Note]) -> Hardness | None:
    """Return how hard it is to change the prompts of a source with some notes; None if none counts.

    Those of calls change with their calls: where `fix` cannot take a prompt apart, `to_messages`
    does when the program runs.
    """
    if any(_CERTAIN.fullmatch(note.code) for note in notes):
        return Hardness.BY_HAND
    found = {note.hardness for note in notes if _CALL.fullmatch(note.code)}
    order = (Hardness.BY_HAND, Hardness.REVIEW, Hardness.MECHANICAL)
    return next((each for each in order if each in found), None)


def prompts(
    source: Source, level: Hardness, found: Sequence[Note], covered: set[int]
) -> Iterator[Note]:
    """Yield the prompts of a source that uses the old API.

    Args:
        source: The source.
        level: See `level_of`.
        found: Its other notes: a statement that has one is not reported again.
        covered: The ids of nodes that belong to calls.
    """
    known: set[int] = set()
    for note in found:
        if not isinstance(note.node, _COMPOUND):
            first = getattr(note.node, "lineno", 0)
            known.update(range(first, (getattr(note.node, "end_lineno", None) or first) + 1))
    yield from _prompts(source, level, turns.has_mark, known, covered)


def pending(source: Source) -> Iterator[Note]:
    """Yield the prompts of a source which count if its project uses the old API.

    One with marks that are not exact needs the vendor's name beside it.
    """
    yield from _prompts(source, Hardness.BY_HAND, turns.has_both, set(), set(), alone=True)


def _prompts(
    source: Source,
    level: Hardness,
    is_prompt: Callable[[str], bool],
    known: set[int],
    covered: set[int],
    *,
    alone: bool = False,
) -> Iterator[Note]:
    if not (turns.SIGN.search(source.text) or "_PROMPT" in source.text):
        return
    reported: set[int] = set()
    last: ast.stmt | None = None
    for node, text in islice(_texts(source), MOST_PLACES):
        if node.lineno in known or id(node) in covered or not is_prompt(text):
            continue
        if _is_stop(node, text, source):
            continue
        statement = source.statement(node)
        exact = turns.is_exact(text)
        if id(statement) in reported or not (
            _is_constant(statement)
            or _CONSTANT.search(text)
            or is_prompt_of_it(
                source.text, *source.span(node), source.around.path, exact=exact, alone=alone
            )
        ):
            continue
        by_itself = alone and (turns.is_alone(text) or not exact)
        if by_itself and not is_beside_its_name(
            source.text, *source.span(node), source.around.path
        ):
            continue
        if not isinstance(statement, _COMPOUND):
            reported.add(id(statement))
        if last is None or not _continues(statement, last):
            yield Note(
                *(node, "TC104", level, "a prompt with the marks of turns"),
                _REMEDIES.get(level, "roles in `messages`"),
            )
        last = statement


def _is_constant(statement: ast.stmt) -> bool:
    """Return whether a mark gets the name that it has in the SDK."""
    match statement:
        case ast.Assign(targets=[ast.Name(id="HUMAN_PROMPT" | "AI_PROMPT")]):
            return True
        case _:
            return False


def _texts(source: Source) -> Iterator[tuple[ast.expr, str]]:
    """Yield the literals with a sign of a mark, in the order of the source."""
    found: list[tuple[ast.expr, str]] = []
    marks = _named_marks(source)
    for node in source.nodes:
        match node:
            case ast.Constant(value=str(text)):
                if isinstance(source.parents[node], ast.JoinedStr | ast.Expr):
                    continue
            case ast.JoinedStr():
                text = _plain(node, marks)
            case ast.BinOp(op=ast.Add()) if not _is_part(node, source):
                text = _sum(node, marks)
            case _:
                continue
        if turns.SIGN.search(text):
            found.append((node, text))
    yield from sorted(found, key=lambda each: (each[0].lineno, each[0].col_offset))


def _named_marks(source: Source) -> dict[str, str]:
    """Return the marks that this source gives names to, each once."""
    found: dict[str, str] = {}
    names: Counter[str] = Counter()
    for name, value in _assigned(source):
        names[name] += 1
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            text = value.value
            if turns.SIGN.search(text) and turns.is_alone(text):
                found[name] = text
        elif isinstance(value, ast.Attribute) and value.attr in _CONSTANTS:
            found[name] = f"{{{value.attr}}}"
    return {name: text for name, text in found.items() if names[name] == 1}


def _assigned(source: Source) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names and the attributes that get a value, also several at once."""
    for node in source.nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=False):
                    if isinstance(target, ast.Name):
                        yield target.id, value
            case _:
                pass


def _plain(node: ast.JoinedStr, marks: Mapping[str, str]) -> str:
    """Return an f-string with the marks, or the names of constants, in its holes."""
    parts = []
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts.append(str(each.value))
        elif isinstance(each, ast.FormattedValue):
            name = _name(each.value)
            constant = f"{{{name}}}" if name in _CONSTANTS else "{}"
            parts.append(marks.get(name, constant))
    return "".join(parts)


def _sum(node: ast.expr, marks: Mapping[str, str]) -> str:
    """Return a sum of marks, also named ones, and other texts."""
    terms: list[ast.expr] = []
    while isinstance(node, ast.BinOp):
        terms.append(node.right)
        node = node.left
    terms.append(node)
    return "".join(
        str(term.value) if isinstance(term, ast.Constant) else marks.get(_name(term), "{}")
        for term in reversed(terms)
    )


def _is_part(node: ast.expr, source: Source) -> bool:
    """Return whether a sum is a part of a longer one."""
    return isinstance(source.parents[node], ast.BinOp)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _is_stop(node: ast.expr, text: str, source: Source) -> bool:
    """Return whether a mark is a stop sequence, is looked for in a text, or is in a message."""
    parent = source.parents[node]
    if isinstance(parent, ast.Compare):
        # A test may expect a whole prompt.
        whole = turns.is_exact(text) and not turns.is_alone(text)
        return not (whole and all(isinstance(each, ast.Eq) for each in parent.ops))
    if _is_message(parent):
        return True
    if isinstance(parent, ast.Call) and node in parent.args:
        called = parent.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if _LOOKING.fullmatch(name):
            return True
        if turns.is_alone(text) and _STOP.search(ast.unparse(called)):
            return True
    if not turns.is_alone(text):
        return False
    if isinstance(parent, _SEQUENCES):
        return all(
            isinstance(each, ast.Constant) and len(str(each.value)) < 40 for each in parent.elts
        )
    return isinstance(parent, ast.arguments) or _is_of_stops(node, parent)


def _is_message(parent: ast.AST) -> bool:
    """Return whether a dict is a message with a role, sent or recorded."""
    return isinstance(parent, ast.Dict) and any(
        isinstance(key, ast.Constant) and key.value == "role" for key in parent.keys
    )


def _is_of_stops(node: ast.expr, parent: ast.AST) -> bool:
    """Return whether the name that a text is given to is one of stop sequences."""
    match parent:
        case ast.keyword(arg=str(name)):
            return _STOP.search(name) is not None
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]):
            return _STOP.search(name) is not None
        case ast.Dict(keys=keys, values=values):
            return any(
                value is node and isinstance(key, ast.Constant) and _STOP.search(str(key.value))
                for key, value in zip(keys, values, strict=True)
            )
        case _:
            return False


def _continues(statement: ast.stmt, last: ast.stmt) -> bool:
    """Return whether a statement appends to the text of the one above it."""
    if not isinstance(statement, ast.AugAssign):
        return False
    if statement.lineno - (last.end_lineno or last.lineno) > 1:
        return False
    before = last.target if isinstance(last, ast.AugAssign) else getattr(last, "targets", [None])[0]
    return before is not None and ast.unparse(statement.target) == ast.unparse(before)
