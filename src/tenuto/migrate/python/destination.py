"""The models that get a dict of parameters: their names in the calls that it is passed to."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tenuto.migrate.evidence import is_of_another
from tenuto.migrate.python.origins import Origins


def is_for_another(node: ast.expr, origins: Origins) -> bool:
    """Return whether a dict, or the arguments of a call, are for a model of another vendor.

    Args:
        node: The dict, or the call.
        origins: The origins of its source.
    """
    calls = [node] if isinstance(node, ast.Call) else list(_calls_with(node, origins))
    texts = [text for call in calls for text in (*texts_of(call, origins), ast.unparse(call.func))]
    return is_of_another(texts)


def _calls_with(node: ast.expr, origins: Origins) -> Iterator[ast.Call]:
    """Yield the calls with a dict as an argument: in place, or by a variable."""
    parents = origins.source.parents
    parent = parents[node]
    match parent:
        case ast.keyword():
            call = parents[parent]
            if isinstance(call, ast.Call):
                yield call
        case ast.Assign(targets=[ast.Name(id=name) as target]):
            for load in origins.scopes.loads(name, target):
                keyword = parents[load]
                outer = parents[keyword] if isinstance(keyword, ast.keyword) else None
                bindings = origins.scopes.bindings(name, load)
                if isinstance(outer, ast.Call) and any(b.node is node for b in bindings):
                    yield outer
        case _:
            pass


def texts_of(call: ast.Call, origins: Origins) -> Iterator[str]:
    """Yield the texts among the arguments of a call, also those of variables."""
    for value in (*call.args, *(keyword.value for keyword in call.keywords)):
        if isinstance(value, ast.Name):
            for binding in origins.scopes.bindings(value.id, value):
                yield from _text(binding.node)
        yield from _text(value)


def _text(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
