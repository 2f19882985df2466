"""The imports of a rewritten source: constants that the SDK lacks, and the helper function."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Final

from tenuto.migrate.python.calls import calls
from tenuto.migrate.python.early import client_edits, count_edits
from tenuto.migrate.python.httpx_objects import httpx_edits
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.prompt_argument import HELPER
from tenuto.migrate.python.source import Edit, Source, apply, parse

_CONSTANTS: Final = {"HUMAN_PROMPT": r'"\n\nHuman:"', "AI_PROMPT": r'"\n\nAssistant:"'}


def helper_import(module: str) -> str:
    """Return the statement that imports `to_messages` from a module."""
    return f"from {module} import {HELPER}"


def tidy(
    before: str, text: str, *, helper: bool, module: str = "tenuto.migrate", counts_for: str = ""
) -> str:
    """Return a source without the names that the SDK has lost.

    Args:
        before: The source before its calls were rewritten.
        text: The source.
        helper: Whether it calls `to_messages`.
        module: The module that has this function.
        counts_for: The model for which token counts are rewritten; "" to leave them.
    """
    source = Source(text)
    origins = Origins(source)
    mixed = any(True for _ in calls(origins))
    edits = [] if mixed else [*client_edits(origins), *httpx_edits(origins)]
    if helper and helper_import(module) not in text:
        edits.append(_helper_import(source, helper_import(module)))
    edits += _constants(origins, _unused(Origins(Source(before))), mixed=mixed)
    if counts_for:
        edits += count_edits(origins, counts_for)
    try:
        new = apply(text, edits)
        parse(new)
    except (SyntaxError, ValueError):
        return text
    return new


def _unused(origins: Origins) -> set[str]:
    """Return the constants that a source imports without a use."""
    return {
        alias.asname or alias.name
        for _, alias in _imported(origins.source)
        if not _loads(origins, alias.asname or alias.name)
    }


def _imported(source: Source) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
    for node in source.nodes:
        if (
            isinstance(node, ast.ImportFrom)
            and (node.module or "").partition(".")[0] == "anthropic"
        ):
            for alias in node.names:
                if alias.name in _CONSTANTS:
                    yield node, alias


def _loads(origins: Origins, name: str) -> list[ast.AST]:
    """Return the uses of an imported name, `__all__` included."""
    found: list[ast.AST] = []
    for node in origins.source.nodes:
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
            if any(p.startswith("anthropic.") for p in origins.paths(node)):
                found.append(node)
        elif isinstance(node, ast.Constant) and node.value == name:
            found.append(node)
    return found


def _constants(origins: Origins, unused: set[str], *, mixed: bool) -> list[Edit]:
    source = origins.source
    statements: dict[ast.ImportFrom, list[ast.alias]] = {}
    defined: dict[ast.ImportFrom, list[str]] = {}
    for statement, alias in _imported(source):
        name = alias.asname or alias.name
        used = _loads(origins, name)
        if (not used and name not in unused) or (used and not mixed):
            statements.setdefault(statement, []).append(alias)
            if used:
                line = f"{name} = {_CONSTANTS[alias.name]}"
                defined.setdefault(statement, []).append(line)
    edits = []
    for statement, aliases in statements.items():
        edits += _without(source, statement, aliases, defined.get(statement, []))
    return edits if mixed else edits + _attributes(origins)


def _without(
    source: Source, statement: ast.ImportFrom, gone: list[ast.alias], lines: list[str]
) -> list[Edit]:
    """Return the edits that remove names from an import, and put definitions behind it."""
    kept = [alias for alias in statement.names if alias not in gone]
    indent, newline = source.indent(statement), source.newline
    if not kept:
        return _replace_statement(source, statement, lines)
    edits = []
    names = statement.names
    for index, alias in enumerate(names):
        if alias in gone:
            if any(other in kept for other in names[index + 1 :]):
                edits.append(Edit(source.start(alias), source.start(names[index + 1]), ""))
            else:
                edits.append(Edit(source.end(names[index - 1]), source.end(alias), ""))
    last = _last_import(source, statement)
    added = [f"{indent}{line}{newline}" for line in lines]
    return edits + _lines_after(source, last, [newline, *added] if added else [])


def _replace_statement(source: Source, statement: ast.stmt, lines: list[str]) -> list[Edit]:
    start, end = source.span(statement)
    indent, newline = source.indent(statement), source.newline
    last_import = _last_import(source, statement)
    if lines and last_import is statement:
        return [Edit(start, end, (newline + indent).join(lines))]
    if lines:
        added_lines = [newline, *(f"{indent}{line}{newline}" for line in lines)]
        added = _lines_after(source, last_import, added_lines)
        return _replace_statement(source, statement, []) + added
    block = [
        value
        for _, value in ast.iter_fields(source.parents[statement])
        if isinstance(value, list) and statement in value
    ]
    first = source.line_start(statement.lineno)
    last = source.line_start((statement.end_lineno or 0) + 1)
    alone = not (source.text[first:start] + source.text[end:last]).strip()
    if block and len(block[0]) > 1 and alone:
        return [Edit(first, last, "")]
    return [Edit(start, end, "pass")]


def _last_import(source: Source, statement: ast.stmt) -> ast.stmt:
    """Return the last of the imports that follow one another from a statement on."""
    for _, value in ast.iter_fields(source.parents[statement]):
        if isinstance(value, list) and statement in value:
            for following in value[value.index(statement) + 1 :]:
                if not isinstance(following, ast.Import | ast.ImportFrom):
                    break
                statement = following
    return statement


def _lines_after(source: Source, statement: ast.stmt, lines: Iterable[str]) -> list[Edit]:
    text = "".join(lines)
    if not text:
        return []
    place = source.line_start((statement.end_lineno or statement.lineno) + 1)
    if place == len(source.text) and not source.text.endswith(("\n", "\r")):
        text = source.newline + text
    return [Edit(place, place, text)]


def _attributes(origins: Origins) -> list[Edit]:
    """Replace `anthropic.HUMAN_PROMPT` by a constant of the module."""
    source = origins.source
    edits, needed = [], set()
    stars = {star.module for star in origins.scopes.stars}
    for node in source.nodes:
        if isinstance(node, ast.Name) and node.id in _CONSTANTS:
            bound = origins.scopes.all_bindings(node.id, node)
            needed |= {node.id} if "anthropic" in stars and not bound else set()
        if not (isinstance(node, ast.Attribute) and node.attr in _CONSTANTS):
            continue
        paths = origins.paths(node)
        if any(path.startswith("anthropic.") for path in paths) and source.is_exact(node):
            edits.append(Edit(*source.span(node), node.attr))
            needed.add(node.attr)
    lines = [
        f"{name} = {value}{source.newline}"
        for name, value in _CONSTANTS.items()
        if name in needed and not _is_bound(origins, name)
    ]
    return edits + _at_the_top(source, lines, behind_all=True)


def _is_bound(origins: Origins, name: str) -> bool:
    return bool(origins.scopes.scope(origins.source.tree).bindings.get(name))


def _helper_import(source: Source, statement: str) -> Edit:
    return _at_the_top(source, [f"{statement}{source.newline}"])[0]


def _at_the_top(source: Source, lines: list[str], *, behind_all: bool = False) -> list[Edit]:
    """Put lines behind the first import of the SDK, or behind the first imports."""
    if not lines:
        return []
    anchor: ast.stmt | None = None
    for statement in source.tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            anchor = statement
            names = [alias.name for alias in statement.names]
            module = getattr(statement, "module", None)
            if any(name.partition(".")[0] == "anthropic" for name in [*names, module or ""]):
                break
        elif not _is_docstring(statement) and anchor is not None:
            break
    if anchor is None and source.tree.body and _is_docstring(source.tree.body[0]):
        anchor = source.tree.body[0]
    if anchor is not None and behind_all:
        return _lines_after(source, _last_import(source, anchor), [source.newline, *lines])
    if anchor is not None:
        return _lines_after(source, anchor, lines)
    start = 0
    for number, line in enumerate(source.text.splitlines(), 1):
        if not line.startswith("#"):
            break
        start = source.line_start(number + 1)
    return [Edit(start, start, "".join(lines))]


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
