"""Responses of the old API that tests give to the code they test, by what is done with them."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Final

from tenuto.migrate.doubles import is_test
from tenuto.migrate.evidence import names_vendor
from tenuto.migrate.python.origins import Origins

ANSWER_FIELDS: Final = {
    *("completion", "stop_reason", "stop", "model", "type", "id", "log_id", "truncated"),
    *("exception", "amazon-bedrock-invocationMetrics"),
}
"""The fields of an old response."""
_GIVEN: Final = {
    "return_value",
    "side_effect",
    "json",
    "body",
    "content",
    "data",
    "payload",
    "text",
}
_NEWER: Final = re.compile(
    r"claude-(?:3|(?:haiku|sonnet|opus|fable|mythos)-\d)|\bmessages\.(?:create|stream)\b"
)
_ENDS: Final = ("stop_sequence", "max_tokens")
_TEXT: Final = re.compile(r"\s*\{\s*\"completion\"\s*:\s*\"[^\"{}]*\"\s*\}\s*")


def is_mocked_answer(node: ast.Dict, origins: Origins) -> bool:
    """Return whether a dict with a text as `completion` is what a double answers."""
    names = {key.value if isinstance(key, ast.Constant) else None for key in node.keys}
    if not ("completion" in names and names <= ANSWER_FIELDS and _is_of_a_test(origins)):
        return False
    text = next(
        value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "completion"
    )
    if isinstance(text, ast.Constant) and not isinstance(text.value, str):
        return False
    return _is_given(node, origins)


def is_mocked_object(node: ast.Call, origins: Origins) -> bool:
    """Return whether a call such as `SimpleNamespace(completion="…")` makes an answer in a test."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    text, end = given.get("completion"), given.get("stop_reason")
    if text is None or not given.keys() <= ANSWER_FIELDS or not _is_of_a_test(origins):
        return False
    if isinstance(end, ast.Constant) and end.value in _ENDS:
        return True
    made = re.search(
        r"Mock|Namespace|Completion|[Rr]esponse|[Ff]ake|[Ss]tub", ast.unparse(node.func)
    )
    return made is not None and isinstance(text, ast.Constant) and isinstance(text.value, str)


def is_mocked_attribute(node: ast.Attribute, origins: Origins) -> bool:
    """Return whether a class in a test gives itself the text of an answer."""
    if not (node.attr == "completion" and isinstance(node.ctx, ast.Store)):
        return False
    if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
        return False
    match origins.source.parents[node]:
        case ast.Assign(value=ast.Constant(value=str()) | ast.Name()):
            return _is_of_a_test(origins)
        case _:
            return False


def is_mocked_text(text: str, origins: Origins) -> bool:
    """Return whether a text is JSON with `completion` alone, in a test.

    Of the models on Bedrock, only the old ones of this vendor answer so.
    """
    if _TEXT.fullmatch(text) is None:
        return False
    path, code = origins.source.around.path, origins.source.text
    return _is_of_a_test(origins) or (
        is_test(path) and "invoke_model" in code and _NEWER.search(code) is None
    )


def _is_of_a_test(origins: Origins) -> bool:
    return _is_old_test(origins.source.text, origins.source.around.path)


# A file is asked once for each of its answers.
@lru_cache(maxsize=1)
def _is_old_test(text: str, path: str) -> bool:
    return is_test(path) and names_vendor(text, path) and _NEWER.search(text) is None


def _is_given(node: ast.expr, origins: Origins) -> bool:
    for parent in origins.source.ancestors(node):
        match parent:
            case ast.keyword(arg=str(name)):
                return name in _GIVEN
            case ast.Call(func=ast.Attribute(attr="dumps") | ast.Name(id="dumps")):
                return True
            case ast.Assign(targets=[ast.Attribute(attr="return_value" | "side_effect")]):
                return True
            case ast.Return():
                function = next(
                    (e for e in origins.source.ancestors(parent) if isinstance(e, ast.FunctionDef)),
                    None,
                )
                return function is not None and function.name == "json"
            case ast.stmt() | ast.Compare():
                return False
            case _:
                pass
    return False
