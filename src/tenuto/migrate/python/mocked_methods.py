"""The methods of the old API that tests and wrappers replace."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.evidence import names_vendor
from tenuto.migrate.python.calls import method_of
from tenuto.migrate.python.origins import Origins

_SDK_PATH: Final = re.compile(r"anthropic\b")
_MOCKED: Final = re.compile(r"return_value|side_effect|(?:mock_)?call\w*|assert_\w+")
_MOST_NODES: Final = 8
_MOST_CHARS: Final = 2_000
_REPLACING: Final = re.compile(r"(?:\w+\.)*(?:setattr|patch\.object|patch_object)")


def double_of_method(node: ast.Attribute, owner: ast.expr, origins: Origins) -> str | None:
    """Return the message about `owner.completions.create` that is replaced or a double, or None."""
    if isinstance(owner, ast.Attribute) and owner.attr == "chat":
        return None
    if "nthropic" not in origins.source.text or _is_of_others(owner, origins):
        return None
    if isinstance(node.ctx, ast.Store):
        return "the method of the old API is replaced"
    outer = origins.source.parents[node]
    if isinstance(outer, ast.Attribute) and _MOCKED.fullmatch(outer.attr):
        return "a test double has the method of the old API"
    return None


def replaces(node: ast.Call, origins: Origins) -> bool:
    """Return whether a call such as `setattr(client.completions, "create", …)` sets a double."""
    if len(node.args) < 2 or not _REPLACING.fullmatch(ast.unparse(node.func)):
        return False
    owner, name = node.args[0], node.args[1]
    if not (isinstance(name, ast.Constant) and "nthropic" in origins.source.text):
        return False
    paths = origins.paths(owner)
    if _is_of_others(owner, origins) and not any(map(_SDK_PATH.match, paths)):
        return False
    if name.value == "create":
        text = ast.unparse(owner)
        return text.endswith((".completions", "Completions")) and not any(
            "openai" in path or "chat" in path for path in (*paths, text)
        )
    return name.value == "completions" and any(method_of(f"{p}.completions.create") for p in paths)


def _is_of_others(owner: ast.expr, origins: Origins) -> bool:
    """Return whether a double in a file of several SDKs may be of another one."""
    if any(names_vendor(text) for text in _words_about(owner, origins)):
        return False
    if names_vendor("", origins.source.around.path):
        return False
    return re.search(r"openai|groq|litellm", origins.source.text, re.I) is not None


def fakes(node: ast.AST, origins: Origins) -> bool:
    """Return whether a method is one of a test double of the SDK, by its file's words."""
    owner = origins.source.parents[node]
    return (
        isinstance(owner, ast.ClassDef)
        and re.search(
            r"\bdef test_|\bmonkeypatch\b|\bmock\b|(?i:class \w*(?:fake|mock|stub|dummy))",
            origins.source.text,
        )
        is not None
    )


def _words_about(owner: ast.expr, origins: Origins) -> Iterator[str]:
    """Yield an expression, what its variables are bound to, and the name of its function."""
    source = origins.source
    nodes = [owner]
    for _ in range(_MOST_NODES):
        if not nodes:
            break
        node = nodes.pop(0)
        start, end = source.span(node)
        if end - start > _MOST_CHARS:
            continue
        yield ast.unparse(node)
        for each in ast.walk(node):
            if isinstance(each, ast.Name):
                bound = origins.scopes.bindings(each.id, each)
                nodes += [b.node for b in bound if isinstance(b.node, ast.expr)]
    if function := source.function(owner):
        yield function.name
