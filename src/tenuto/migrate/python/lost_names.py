"""Names that the SDK from 1.0 on lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.calls import method_of
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Note
from tenuto.migrate.python.source import Source

_CONSTANTS: Final = ("HUMAN_PROMPT", "AI_PROMPT")
_LOST_NAMES: Final = {
    *("ApiException", "count_tokens", "get_tokenizer"),
    *("Completion", "CompletionCreateParams", "CompletionCreateParamsNonStreaming"),
    *("CompletionCreateParamsStreaming", "completion_create_params"),
}
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.\w+)+")
_MODULE: Final = re.compile(r"anthropic\.(?:(?:types|resources|_\w+)\.(?:\w+\.)?)?\w+\Z")
_TEXTS: Final = (ast.BinOp, ast.JoinedStr, ast.FormattedValue)
_COUNTS: Final = {"count_tokens", "get_tokenizer"}


def lost_names(origins: Origins, calls: list[ast.Call]) -> Iterator[Note]:
    """Yield the notes of imports and attributes that the SDK has lost.

    Args:
        origins: The origins of a source.
        calls: Calls that have notes of their own.
    """
    source = origins.source
    for node in source.nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "anthropic":
            yield from _imports(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            yield from _attribute(node, origins, calls)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield from _name(node, origins, calls)
        elif isinstance(node, ast.arg | ast.AnnAssign | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _annotation(node, origins)


def _annotation(node: ast.AST, origins: Origins) -> Iterator[Note]:
    """Yield the notes of names in texts, such as `-> "anthropic.types.Completion"`."""
    annotation = getattr(node, "returns", None) or getattr(node, "annotation", None)
    texts = [
        each
        for each in (ast.walk(annotation) if annotation is not None else ())
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    for text in texts:
        for name in _DOTTED.findall(str(text.value)):
            last = name.rpartition(".")[2]
            paths = {origin.path for origin in origins.named(name, text)}
            if last in _LOST_NAMES and any(path.startswith("anthropic.") for path in paths):
                yield Note(
                    *(text, "TC105", Hardness.REVIEW, f"the SDK from 1.0 on has no `{last}`"),
                    "use the names of the Messages API: `Message`, `APIStatusError`",
                )


def _imports(node: ast.ImportFrom) -> Iterator[Note]:
    names = {alias.name for alias in node.names}
    if names & set(_CONSTANTS):
        yield Note(
            *(node, "TC104", Hardness.MECHANICAL, "the SDK from 1.0 on has no prompt constants"),
            "`tenuto migrate fix` removes them, or defines them in the file",
        )
    if lost := sorted(names & _LOST_NAMES):
        yield Note(
            *(node, "TC105", Hardness.REVIEW, f"the SDK from 1.0 on has no `{lost[0]}`"),
            "use `Message`, `APIStatusError` and `client.messages.count_tokens`",
        )
    if "*" in names:
        yield Note(
            *(node, "TC105", Hardness.REVIEW, "the names of `import *` change with the SDK"),
            "import the names that are used",
        )


def _name(node: ast.Name, origins: Origins, calls: list[ast.Call]) -> Iterator[Note]:
    if node.id in ("count_tokens", *_CONSTANTS):
        paths = origins.paths(node)
        if "anthropic.count_tokens" in paths:
            yield _count(node)
        elif f"anthropic.{node.id}" in paths and not _inside(node, calls, origins.source):
            yield _constant(node, origins.source)


def _constant(node: ast.expr, source: Source) -> Note:
    """Return the note of a constant: at the beginning of the text that it is a part of."""
    whole: ast.AST = node
    while isinstance(source.parents[whole], _TEXTS):
        whole = source.parents[whole]
    return Note(
        *(whole, "TC104", Hardness.MECHANICAL, "the SDK from 1.0 on has no prompt constants"),
        "`tenuto migrate fix` defines them in the file",
    )


def _attribute(node: ast.Attribute, origins: Origins, calls: list[ast.Call]) -> Iterator[Note]:
    if not {*_CONSTANTS, *_LOST_NAMES, "create", "completion", "completion_stream"} & {node.attr}:
        return
    source = origins.source
    parent = source.parents[node]
    for path in sorted(origins.paths(node)):
        if method_of(path) is not None and not (
            isinstance(parent, ast.Call) and parent.func is node
        ):
            yield Note(
                *(node, "TC103", Hardness.BY_HAND, "the method is passed on as a value"),
                "pass `client.messages.create`, and change the arguments where it is called",
            )
            return
        if not path.startswith("anthropic."):
            continue
        name = path.rpartition(".")[2]
        if name in _CONSTANTS and not _inside(node, calls, source):
            yield _constant(node, origins.source)
        elif name in _COUNTS and "messages" not in path:
            yield _count(node)
        elif name in _LOST_NAMES and _MODULE.match(path):
            yield Note(
                *(node, "TC105", Hardness.REVIEW, f"the SDK from 1.0 on has no `{name}`"),
                "use the names of the Messages API: `Message`, `APIStatusError`",
            )


def _count(node: ast.AST) -> Note:
    return Note(
        *(node, "TC107", Hardness.REVIEW, "tokens were counted without a request"),
        "`client.messages.count_tokens(model=…, messages=…).input_tokens`, a request",
    )


def _inside(node: ast.AST, calls: list[ast.Call], source: Source) -> bool:
    """Return whether a node is a part of a call that has a finding of its own."""
    around = set(map(id, source.ancestors(node)))
    return any(id(call) in around for call in calls)
