"""Names of the SDK before 0.3 -> those of today."""

from __future__ import annotations

import ast
from typing import Final

from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.source import Edit

_CLIENTS: Final = {"anthropic.Client", "anthropic.Anthropic", "anthropic.AsyncAnthropic"}
_COUNTED: Final = {"anthropic.Anthropic().count_tokens", "anthropic.Client().count_tokens"}
_POSITIONAL: Final = ("api_key", "base_url")
_EXCEPTION: Final = "ApiException"
_NEW_EXCEPTION: Final = "APIStatusError"


def client_edits(origins: Origins) -> list[Edit]:
    """Return the edits of constructors, and of the names of exceptions."""
    edits: list[Edit] = []
    source = origins.source
    for node in source.nodes:
        if isinstance(node, ast.Call) and origins.paths(node.func) & _CLIENTS:
            # `Client(key, address)`: the client from 0.3 on has no arguments without names.
            named = {keyword.arg for keyword in node.keywords}
            if len(node.args) <= len(_POSITIONAL) and not named & set(
                _POSITIONAL[: len(node.args)]
            ):
                for argument, name in zip(node.args, _POSITIONAL, strict=False):
                    if isinstance(argument, ast.Starred):
                        break
                    place = source.start(argument)
                    edits.append(Edit(place, place, f"{name}="))
            for keyword in node.keywords:
                if keyword.arg == "api_url":
                    start = source.start(keyword)
                    edits.append(Edit(start, start + len("api_url"), "base_url"))
        elif isinstance(node, ast.Attribute) and node.attr == _EXCEPTION:
            if "anthropic.ApiException" in origins.paths(node) and source.is_exact(node):
                end = source.end(node)
                edits.append(Edit(end - len(_EXCEPTION), end, _NEW_EXCEPTION))
        elif isinstance(node, ast.ImportFrom) and node.module in ("anthropic", "anthropic.api"):
            edits += _renamed(node, origins)
    return edits


def _renamed(node: ast.ImportFrom, origins: Origins) -> list[Edit]:
    """Rename an imported exception; uses keep their name if it has another one."""
    edits: list[Edit] = []
    for alias in node.names:
        if alias.name != _EXCEPTION:
            continue
        start = origins.source.start(alias)
        edits.append(Edit(start, start + len(_EXCEPTION), _NEW_EXCEPTION))
        if alias.asname is None:
            edits += [
                Edit(*origins.source.span(use), _NEW_EXCEPTION)
                for use in origins.source.nodes
                if isinstance(use, ast.Name) and use.id == _EXCEPTION
            ]
    return edits


def count_edits(origins: Origins, model: str) -> list[Edit]:
    """Return the edits of token counts, each a request now, with a comment at each."""
    edits: list[Edit] = []
    source = origins.source
    for node in source.nodes:
        match node:
            case ast.Call(
                func=ast.Attribute(attr="count_tokens") as func, args=[text], keywords=[]
            ):
                if not origins.paths(func) & _COUNTED or not source.is_exact(node):
                    continue
            case _:
                continue
        statement = source.statement(node)
        line = source.line_start(statement.lineno)
        comment = (
            f"{source.indent(statement)}# tenuto-migrate: TODO[TC107] the count is a request now, "
            f"for one model: use `usage` of the answer where that is enough{source.newline}"
        )
        end, start, stop = source.end(func), *source.span(text)
        edits += [
            Edit(line, line, comment),
            Edit(end - len("count_tokens"), end, "messages.count_tokens"),
            Edit(start, start, f'model="{model}", messages=[{{"role": "user", "content": '),
            Edit(stop, stop, "}]"),
            Edit(source.end(node), source.end(node), ".input_tokens"),
        ]
    return list(dict.fromkeys(edits))
