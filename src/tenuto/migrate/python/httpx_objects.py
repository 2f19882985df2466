"""Objects of `httpx` that the SDK gets: from 1.0 on it takes those of `httpx2` alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Note
from tenuto.migrate.python.source import Edit

_OLD: Final = "httpx"
_NEW: Final = "httpx2"
# A client, a copy of it, or a request.
_GETTERS: Final = re.compile(
    r"anthropic\.(?:Async)?(?:Anthropic|Client)\w*(?:\(\).*\.(?:with_options|copy|create|stream))?"
)
_ARGUMENTS: Final = ("timeout", "http_client")
_LOST: Final = ("transport", "proxies", "connection_pool_limits")


def httpx_edits(origins: Origins) -> list[Edit]:
    """Return the edits that pass objects of `httpx2` to the SDK, with the import of it."""
    source = origins.source
    values = [value for _, value in _given(origins)]
    nodes = [each for value in values for each in _names(value, origins)]
    for value in values:
        if isinstance(value, ast.Name):
            nodes += _of_variable(value, values, origins)
    nodes = [node for node in dict.fromkeys(nodes) if source.is_exact(node)]
    imported = _import(nodes, origins) if nodes else None
    return [] if imported is None else [*(_edit(node, origins) for node in nodes), *imported]


def httpx_left(origins: Origins) -> Iterator[Note]:
    """Yield the notes of arguments that the client from 1.0 on refuses."""
    for name, value in _given(origins):
        if any(path.startswith(f"{_OLD}.") for path in origins.paths(value)):
            yield Note(
                *(value, "TC105", Hardness.REVIEW, f"the SDK from 1.0 on refuses `{_OLD}` objects"),
                f"make the `{name}` with `{_NEW}`",
            )
    for node in origins.source.nodes:
        if isinstance(node, ast.Call) and _takes(node, origins, clients=True):
            for keyword in node.keywords:
                if keyword.arg in _LOST:
                    yield Note(
                        *(keyword.value, "TC105", Hardness.REVIEW),
                        f"the client from 1.0 on has no `{keyword.arg}`",
                        f"`http_client=anthropic.DefaultHttpxClient(…)`, with objects of `{_NEW}`",
                    )


def _given(origins: Origins) -> list[tuple[str, ast.expr]]:
    """Return the names and the values of arguments that may be objects of `httpx`."""
    return [
        (keyword.arg, keyword.value)
        for node in origins.source.nodes
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in _ARGUMENTS and _takes(node, origins)
    ]


def _takes(node: ast.Call, origins: Origins, *, clients: bool = False) -> bool:
    """Return whether a call is one of the SDK: of a client's class, or any."""
    found = [path for path in origins.paths(node.func) if _GETTERS.fullmatch(path)]
    return any("()" not in path for path in found) if clients else bool(found)


def _names(value: ast.AST, origins: Origins) -> Iterator[ast.Name | ast.Attribute]:
    """Yield the names of `httpx` in an expression, such as `httpx.Timeout`."""
    for node in ast.walk(value):
        match node:
            case ast.Attribute(value=ast.Name() as module) if origins.paths(module) == {_OLD}:
                yield node
            case ast.Name() if any(
                path.startswith(f"{_OLD}.") and path.count(".") == 1 and "(" not in path
                for path in origins.paths(node)
            ):
                yield node
            case _:
                pass


def _of_variable(
    value: ast.Name, values: list[ast.expr], origins: Origins
) -> list[ast.Name | ast.Attribute]:
    """Return the names in the value of a variable that only the SDK gets."""
    bindings = origins.scopes.all_bindings(value.id, value)
    loads = origins.scopes.loads(value.id, value)
    if len(bindings) != 1 or bindings[0].kind != "value" or any(n not in values for n in loads):
        return []
    return list(_names(bindings[0].node, origins))


def _edit(node: ast.Name | ast.Attribute, origins: Origins) -> Edit:
    if isinstance(node, ast.Attribute):
        return Edit(*origins.source.span(node.value), _NEW)
    path = min(p for p in origins.paths(node) if p.startswith(f"{_OLD}."))
    return Edit(*origins.source.span(node), f"{_NEW}.{path.partition('.')[2]}")


def _import(nodes: list[ast.Name | ast.Attribute], origins: Origins) -> list[Edit] | None:
    """Return the edits that import `httpx2`; None if the module does not import `httpx` itself.

    Args:
        nodes: The names that change. An import that only they use becomes that of `httpx2`.
        origins: The origins of the source.
    """
    source = origins.source
    if any(
        isinstance(node, ast.Import) and any(a.name == _NEW for a in node.names)
        for node in source.tree.body
    ):
        return []
    used = [node.value if isinstance(node, ast.Attribute) else node for node in nodes]
    for node in source.tree.body:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        if module != _OLD:
            continue
        alias = node.names[0]
        loads = origins.scopes.loads(alias.asname or alias.name, node)
        if len(node.names) == 1 and all(load in used for load in loads):
            return [Edit(*source.span(node), f"import {_NEW}")]
        place = source.line_start(node.lineno)
        return [Edit(place, place, f"import {_NEW}{source.newline}")]
    return None
