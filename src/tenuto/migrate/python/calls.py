"""Calls of the Text Completions API in a source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Final, Literal

from tenuto.migrate.evidence import is_about
from tenuto.migrate.python.origins import Origins

_CLIENT: Final = re.compile(
    r"(?:anthropic|tenuto)\.(?P<async>Async)?(?:Anthropic|Client)(?P<cloud>\w*)\(\)"
    r"(?:\.(?:with_options|copy)\(\))*"
)
_RESOURCE: Final = re.compile(
    r"(?P<raw>\.with_raw_response|\.with_streaming_response)?\.completions"
    r"(?P<raw2>\.with_raw_response|\.with_streaming_response)?\.create"
)
_EARLY: Final = re.compile(r"\.(?P<async>a)?completion(?P<stream>_stream)?")
_ATTRIBUTES: Final = {
    "create",
    "completion",
    "acompletion",
    "completion_stream",
    "acompletion_stream",
}
_MARKS: Final = re.compile(r"\b(?:HUMAN_PROMPT|AI_PROMPT)\b")
# Packages whose methods have the same names.
_OTHERS: Final = re.compile(r"(?:openai|litellm|langchain\w*|llama_index|cohere|together|groq)\b")

_IMPORT: Final = re.compile(r"^[ \t]*(?:import|from)[ \t]+anthropic\b", re.MULTILINE)
_OTHER_SDK: Final = re.compile(r"openai|groq|together|litellm|mistral", re.IGNORECASE)
_IMPORTED: Final = re.compile(r"(?!(?:None|anthropic|tenuto)\b)[A-Za-z_]")

Certainty = Literal["import", "arguments"]


@dataclass(frozen=True, eq=False)
class ApiCall:
    """A call.

    Attributes:
        node: The call.
        early: Whether the method is one of the SDK before 0.3.
        asynchronous: Whether the client or the method is.
        stream: Whether it streams; None if a variable decides.
        raw: Whether it returns the raw response.
        cloud: The platform of the client, such as `Bedrock`, or "".
        certainty: Whether the import of the client proves it, or its arguments.
    """

    node: ast.Call
    early: bool
    asynchronous: bool
    stream: bool | None
    raw: bool
    cloud: str
    certainty: Certainty

    def keyword(self, name: str) -> ast.keyword | None:
        """Return an argument."""
        return next((k for k in self.node.keywords if k.arg == name), None)

    @property
    def unpacked(self) -> list[ast.keyword]:
        """The arguments `**x`."""
        return [k for k in self.node.keywords if k.arg is None]


def method_of(path: str) -> tuple[re.Match[str], re.Match[str]] | None:
    """Return the parts of a path that is a completions method: of its client, of its method."""
    client = _CLIENT.match(path)
    if client is None:
        return None
    rest = path[client.end() :]
    method = _RESOURCE.fullmatch(rest) or _EARLY.fullmatch(rest)
    return (client, method) if method else None


def calls(origins: Origins) -> Iterator[ApiCall]:
    """Yield the calls of a source, in their order."""
    found = [call for node in origins.source.nodes if (call := _call(node, origins))]
    yield from sorted(found, key=lambda call: origins.source.start(call.node))


def _call(node: ast.AST, origins: Origins) -> ApiCall | None:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    if node.func.attr not in _ATTRIBUTES:
        return None
    paths = origins.paths(node.func)
    # Of several clients, one of a platform counts: `fix` changes its calls with more care.
    for path in sorted(paths, key=lambda path: (not _is_of_a_platform(path), path)):
        if parts := method_of(path):
            client, method = parts
            groups = method.groupdict()
            early = method.re is _EARLY
            return ApiCall(
                node,
                early,
                asynchronous=bool(client["async"] or (early and groups["async"])),
                stream=bool(groups["stream"]) if early else _streams(node),
                raw=bool(groups.get("raw") or groups.get("raw2")),
                cloud=client["cloud"],
                certainty="arguments" if _is_another(paths) else "import",
            )
    return _by_arguments(node, node.func, paths, origins)


def _is_of_a_platform(path: str) -> bool:
    client = _CLIENT.match(path)
    return client is not None and bool(client["cloud"])


def _is_another(paths: set[str]) -> bool:
    """Return whether a method may also be one of another package."""
    return any(
        _OTHERS.match(path) or (_IMPORTED.match(path) and method_of(path) is None) for path in paths
    )


def _by_arguments(
    node: ast.Call, func: ast.Attribute, paths: set[str], origins: Origins
) -> ApiCall | None:
    names = {keyword.arg for keyword in node.keywords}
    for keyword in node.keywords:
        if keyword.arg is None:
            names |= keys_of(keyword.value, origins)
    if any(_OTHERS.match(path) for path in paths):
        return None
    early = func.attr != "create"
    if "max_tokens_to_sample" not in names and not (
        (early and _is_early(node, func, origins))
        or _is_forwarded(node, func, origins)
        or ("prompt" in names and not early and _is_alone(names, origins))
    ):
        return None
    if not early and not (
        isinstance(func.value, ast.Attribute)
        and func.value.attr in ("completions", "with_raw_response")
    ):
        return None
    if not is_about(origins.source.text, origins.source.around.path):
        return None  # Other packages have the method, too.
    awaited = isinstance(origins.source.parents.get(node), ast.Await)
    stream = func.attr.endswith("_stream") if early else _streams(node)
    return ApiCall(
        *(node, early, awaited or func.attr.startswith("a"), stream),
        raw="with_raw_response" in origins.source.segment(func),
        cloud="",
        certainty="arguments",
    )


def _is_early(node: ast.Call, func: ast.Attribute, origins: Origins) -> bool:
    """Return whether a client of a framework gets arguments that are made elsewhere."""
    client = ast.unparse(func.value).rpartition(".")[2]
    return (
        client in ("client", "_client", "async_client")
        and not node.args
        and any(keyword.arg is None for keyword in node.keywords)
        and _MARKS.search(origins.source.text) is not None
    )


def _is_alone(names: Set[str | None], origins: Origins) -> bool:
    """Return whether a client of unknown origin is this SDK's, by its arguments or its file.

    The client of LangChain, for one, is an attribute that a validator of all values sets.
    """
    text = origins.source.text
    if None not in names or not _IMPORT.search(text):
        return False
    return "stop_sequences" in names or not _OTHER_SDK.search(text)


def _is_forwarded(node: ast.Call, func: ast.Attribute, origins: Origins) -> bool:
    """Return whether a function named after the vendor passes on all its arguments."""
    if node.args or [keyword.arg for keyword in node.keywords] != [None]:
        return False
    owner = func.value
    if func.attr == "create":
        if not (isinstance(owner, ast.Attribute) and isinstance(owner.value, ast.Name)):
            return False
    elif not (isinstance(owner, ast.Name) and _is_parameter(owner, origins)):
        return False
    for parent in origins.source.ancestors(node):
        if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return re.search(r"anthropic|claude", parent.name, re.I) is not None
    return False


def _is_parameter(name: ast.Name, origins: Origins) -> bool:
    bindings = origins.scopes.bindings(name.id, name)
    return bool(bindings) and all(isinstance(each.node, ast.arg) for each in bindings)


def _streams(node: ast.Call) -> bool | None:
    for keyword in node.keywords:
        if keyword.arg == "stream":
            value = keyword.value
            if isinstance(value, ast.Constant):
                return bool(value.value)
            return None
    return False


def keys_of(node: ast.expr, origins: Origins) -> set[str | None]:
    """Return the keys of a dict that an expression stands for, as far as they are visible."""
    dictionary = dict_of(node, origins)
    if isinstance(dictionary, ast.Dict):
        return {
            str(key.value) if isinstance(key, ast.Constant) else None for key in dictionary.keys
        }
    if isinstance(dictionary, ast.Call):
        return {keyword.arg for keyword in dictionary.keywords}
    return set()


def dict_of(node: ast.expr, origins: Origins) -> ast.Dict | ast.Call | None:
    """Return the dict display, or the call of `dict`, that an expression stands for."""
    if isinstance(node, ast.Dict):
        return node
    if isinstance(node, ast.Call):
        return node if isinstance(node.func, ast.Name) and node.func.id == "dict" else None
    if isinstance(node, ast.Name):
        bindings = origins.scopes.all_bindings(node.id, node)
        if len(bindings) == 1 and bindings[0].kind == "value":
            value = bindings[0].node
            return dict_of(value, origins) if isinstance(value, ast.Dict | ast.Call) else None
    return None
