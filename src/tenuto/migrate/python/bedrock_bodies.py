"""Bodies for Bedrock without the limit: the parameters are made elsewhere, or forgotten.

Of the models there, only Claude's old answer has `completion` as a field of the whole.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, TypeGuard

from tenuto.migrate.bedrock_calls import FAR_LINES
from tenuto.migrate.evidence import OLD_ON_BEDROCK, names_vendor
from tenuto.migrate.findings import BEDROCK_MESSAGES, Hardness
from tenuto.migrate.notebooks import CELL
from tenuto.migrate.python.destination import texts_of
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Note

_METHODS: Final = {"invoke_model", "invoke_model_with_response_stream"}
_OLD_MODEL: Final = re.compile(OLD_ON_BEDROCK)
_NEWER: Final = re.compile(r"\bmessages\b|\bcontent_block|\bdelta\b")


def bodies_with_parameters(origins: Origins, found: Sequence[Note]) -> Iterator[ast.expr]:
    """Yield where a prompt and unseen parameters become a body, or the call that gets one.

    There is one for each function that reads an old answer.

    Args:
        origins: The origins of a source.
        found: The findings so far: a function with a body among them has none here.
    """
    text = origins.source.text
    known = {
        origins.source.function(note.node) for note in found if note.code in ("TC401", "TC402")
    }
    for function, nodes in _readers(origins):
        if function in known:
            continue
        old = any(_names_old_model(call, origins) for call in filter(_invokes, nodes))
        for node in nodes:
            if isinstance(node, ast.expr) and (
                _is_body(node, nodes, origins) or (old and _has_a_prompt(node))
            ):
                yield node
                break
        else:
            # The body is made in another function.
            if _NEWER.search(text) or not names_vendor(text):
                continue
            yield from islice(filter(_invokes, nodes), 1)


def pending_calls(origins: Origins) -> Iterator[Note]:
    """Yield calls of old models, or whose old answer is read in the same function.

    Their bodies are made in other files: they count if the project makes old ones.
    """
    if _NEWER.search(origins.source.text):
        return
    found = [call for _, nodes in _readers(origins) for call in islice(filter(_invokes, nodes), 1)]
    calls = filter(_invokes, origins.source.nodes)
    known = set(map(id, found))
    found += [call for call in calls if id(call) not in known and _names_old_model(call, origins)]
    for call in found:
        yield Note(
            *(call, "TC402", Hardness.BY_HAND, "a call of a model with old answers"),
            BEDROCK_MESSAGES,
        )


def _readers(origins: Origins) -> Iterator[tuple[ast.AST | None, list[ast.AST]]]:
    """Yield the functions that call a model on Bedrock and read an old answer, with their nodes."""
    text = origins.source.text
    if not ("invoke_model" in text and "completion" in text):
        return
    functions: dict[ast.AST | None, list[ast.AST]] = defaultdict(list)
    for node in origins.source.nodes:
        functions[origins.source.function(node)].append(node)
    for function, nodes in functions.items():
        if any(map(_invokes, nodes)) and any(map(_reads, nodes)):
            yield function, nodes


def calls_apart(origins: Origins, found: Sequence[Note]) -> Iterator[ast.Call]:
    """Yield the calls of old models whose bodies are in other functions, cells, or far above.

    Args:
        origins: The origins of a source.
        found: The findings so far: bodies among them show what these models get.
    """
    source = origins.source
    bodies = [
        note.node for note in found if note.code == "TC402" and isinstance(note.node, ast.expr)
    ]
    if not bodies or "anthropic_version" in source.text:
        return
    for node in filter(_invokes, source.nodes):
        if _names_old_model(node, origins) and not any(
            _is_beside(body, node, origins) for body in bodies
        ):
            yield node


def _is_beside(body: ast.expr, call: ast.Call, origins: Origins) -> bool:
    source = origins.source
    if origins.source.function(body) is not origins.source.function(call):
        return False
    near = abs(call.lineno - (body.end_lineno or body.lineno)) <= FAR_LINES
    first, last = sorted((source.start(body), source.start(call)))
    return near and CELL not in source.text[first:last]


def _invokes(node: ast.AST) -> TypeGuard[ast.Call]:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _METHODS
    )


def _reads(node: ast.AST) -> bool:
    """Return whether a node is `x["completion"]` or `x.get("completion")`."""
    match node:
        case ast.Subscript(slice=ast.Constant(value="completion"), ctx=ast.Load()):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="completion"), *_]):
            return True
        case _:
            return False


def _names_old_model(call: ast.Call, origins: Origins) -> bool:
    return any(map(_OLD_MODEL.search, texts_of(call, origins)))


def _has_a_prompt(node: ast.expr) -> bool:
    """Return whether a dict has a prompt and no messages."""
    if not isinstance(node, ast.Dict):
        return False
    names = {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return "prompt" in names and "messages" not in names


def _is_body(node: ast.expr, nodes: Sequence[ast.AST], origins: Origins) -> bool:
    """Return whether an expression puts a prompt beside parameters that are not seen there."""
    parent = origins.source.parents[node]
    match node:
        case ast.Dict(keys=keys):
            names = {key.value if isinstance(key, ast.Constant) else None for key in keys}
            if "prompt" not in names or "messages" in names:
                return False
            joined = isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.BitOr)
            return None in keys or joined or _is_updated(parent, nodes)
        case ast.Call(func=ast.Name(id="dict"), keywords=keywords):
            given = {keyword.arg for keyword in keywords}
            return {"prompt", None} <= given and "messages" not in given
        case ast.Subscript(
            value=ast.Name(id=name), slice=ast.Constant(value="prompt"), ctx=ast.Store()
        ):
            return any(_dumps(each, name) for each in nodes)
        case _:
            return False


def _is_updated(parent: ast.AST, nodes: Sequence[ast.AST]) -> bool:
    """Return whether the variable of a dict gets more keys with `update`."""
    match parent:
        case ast.Assign(targets=[ast.Name(id=name)]):
            pass
        case _:
            return False
    return any(
        isinstance(each, ast.Attribute)
        and each.attr == "update"
        and isinstance(each.value, ast.Name)
        and each.value.id == name
        for each in nodes
    )


def _dumps(node: ast.AST, name: str) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(attr="dumps"), args=[ast.Name(id=first), *_]):
            return first == name
        case _:
            return False
