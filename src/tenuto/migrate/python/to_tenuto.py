"""Python source -> the same program with Tenuto's client instead of `anthropic`."""

from __future__ import annotations

import ast
import re
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python import marks
from tenuto.migrate.python.calls import calls
from tenuto.migrate.python.early import client_edits
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Note, Plan
from tenuto.migrate.python.results import occurrences
from tenuto.migrate.python.rewrite import Rewritten
from tenuto.migrate.python.source import Edit, Source, apply, parse

# Names of `anthropic` that `tenuto` has: see the table in docs/client.md.
NAMES: Final = frozenset(
    (
        *("AI_PROMPT", "HUMAN_PROMPT", "Anthropic", "AsyncAnthropic", "Client", "AsyncClient"),
        *("APIConnectionError", "APIError", "APIResponse", "APIResponseValidationError"),
        *("APIStatusError", "APITimeoutError", "AnthropicError", "AsyncAPIResponse", "AsyncStream"),
        *("AuthenticationError", "BadRequestError", "BaseModel", "ConflictError"),
        *("DEFAULT_CONNECTION_LIMITS", "DEFAULT_MAX_RETRIES", "DEFAULT_TIMEOUT"),
        *("InternalServerError", "NOT_GIVEN", "NotFoundError", "NotGiven", "Omit"),
        *("OverloadedError", "PermissionDeniedError", "RateLimitError", "RequestTooLargeError"),
        *("Stream", "Timeout", "UnprocessableEntityError", "not_given", "omit", "types"),
    )
)
TYPES: Final = frozenset(
    (
        *("Completion", "CompletionCreateParams", "CompletionCreateParamsNonStreaming"),
        *("CompletionCreateParamsStreaming", "MetadataParam", "ModelInfo"),
        *("AnthropicBeta", "Model"),
    )
)
# The modules whose names `tenuto.types` has.
_TYPES_MODULE: Final = re.compile(r"anthropic\.types(?:\.completion(?:_create_params)?)?")
_EARLY: Final = {"ApiException": "APIStatusError"}
_CLIENT_PARTS: Final = {"messages", "beta", "post", "count_tokens", "get_tokenizer"}
_CLIENT: Final = re.compile(r"anthropic\.(?:Async)?(?:Anthropic|Client)\(\)")
_FIELDS: Final = ("completion", "stop_reason", "stop", "log_id", "model")
# Functions that replace or load a module by its name.
_REPLACERS: Final = frozenset(
    ("patch", "dict", "setattr", "delattr", "setitem", "delitem", "import_module", "importorskip")
)
_MODULE: Final = re.compile(r"anthropic(?:\.\w+)*")
_REMEDY: Final = "keep `anthropic` for it, and make a second client from `tenuto`"


def to_tenuto(text: str) -> Rewritten:
    """Replace the imports, if Tenuto's client has all names that the source uses.

    Methods from before 0.3 become `completions.create`.

    Raises:
        SyntaxError: The source cannot be parsed.
    """
    source = Source(text)
    origins = Origins(source)
    result = Rewritten(text)
    imports = [node for node in source.nodes if _is_import(node)]
    doubles = [n for n in _doubles(source) if not marks.is_ignored(source, n.node)]
    if not imports or any(marks.is_ignored(source, node) for node in imports):
        result.left = [(source, note) for note in doubles]
        return result
    obstacles = [note for node in source.nodes for note in _obstacles(node, origins)]
    obstacles += doubles
    edits = [edit for node in imports for edit in _import_edits(node, source)]
    for call in calls(origins):
        if call.early:
            plan = Plan(call)
            _early_call(plan, origins)
            obstacles += plan.notes
            edits += plan.edits
        result.calls += 1
    edits += client_edits(origins)
    if obstacles:
        result.left = [(source, note) for note in obstacles]
        return result
    new = apply(text, list(dict.fromkeys(edits)))
    try:
        parse(new)
    except SyntaxError:
        result.left = [
            (
                source,
                Note(
                    *(imports[0], "TC105", Hardness.BY_HAND, "the new source would not be Python"),
                    "replace the imports, and the arguments of the clients, by hand",
                ),
            )
        ]
        return result
    result.text = new
    return result


def _is_import(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] == "anthropic" for alias in node.names)
    return isinstance(node, ast.ImportFrom) and (
        node.level == 0 and (node.module or "").partition(".")[0] == "anthropic"
    )


def _import_edits(node: ast.AST, source: Source) -> list[Edit]:
    if isinstance(node, ast.ImportFrom):
        start = source.text.index("anthropic", source.start(node))
        module = node.module or ""
        new = "tenuto.types" if _TYPES_MODULE.fullmatch(module) else "tenuto"
        old = module if source.text.startswith(module, start) and "." in new else "anthropic"
        return [Edit(start, start + len(old), new)]
    assert isinstance(node, ast.Import)
    edits = []
    for alias in node.names:
        if alias.name == "anthropic":
            start = source.start(alias)
            name = "tenuto" if alias.asname else "tenuto as anthropic"
            edits.append(Edit(start, start + len("anthropic"), name))
    return edits


def _obstacles(node: ast.AST, origins: Origins) -> list[Note]:
    """Return the uses of what Tenuto's client lacks."""
    names: list[str] = []
    match node:
        case ast.Import(names=aliases):
            names = [a.name for a in aliases if a.name.startswith("anthropic.")]
        case ast.ImportFrom(module=str(module), names=aliases, level=0) if _is_import(node):
            if module == "anthropic":
                names = [a.name for a in aliases if a.name not in NAMES | _EARLY.keys()]
            elif _TYPES_MODULE.fullmatch(module):
                names = [a.name for a in aliases if a.name not in TYPES]
            else:
                names = [module]
        case ast.Attribute():
            # A name with several values has what one of them has.
            paths = origins.paths(node)
            missing = sorted(map(_missing, paths))
            names = missing[:1] if all(missing) else sorted(filter(None, map(_part, paths)))[:1]
        case ast.Name(ctx=ast.Load()) if origins.paths(node) == {"anthropic"}:
            if not isinstance(origins.source.parents[node], ast.Attribute):
                return [_passed_on(node)]
        case _:
            pass
    return [
        Note(node, "TC105", Hardness.BY_HAND, f"Tenuto's client has no `{name}`", _REMEDY)
        for name in names
    ]


def _missing(path: str) -> str:
    """Return the last name of a path if Tenuto's client lacks it, else ""."""
    head, _, last = path.rpartition(".")
    name = last.partition("(")[0].partition("[")[0]
    if head == "anthropic":
        return "" if name in NAMES | _EARLY.keys() else name
    if head == "anthropic.types":
        return "" if name in TYPES else name
    return _part(path)


def _part(path: str) -> str:
    """Return the part of a client that a path reads, if Tenuto's client lacks it, else ""."""
    head, _, last = path.rpartition(".")
    name = last.partition("(")[0].partition("[")[0]
    return name if _CLIENT.fullmatch(head) and name in _CLIENT_PARTS else ""


def _passed_on(node: ast.Name) -> Note:
    return Note(
        *(node, "TC103", Hardness.BY_HAND, "the module is passed on as a value"),
        "pass `tenuto` where the code that gets it knows that client",
    )


def _doubles(source: Source) -> list[Note]:
    """Return the places where a test replaces the module, or a part of it, by its name."""
    nodes: set[ast.AST] = set()
    for node in source.nodes:
        if isinstance(node, ast.Call) and _last_name(node.func) in _REPLACERS:
            nodes |= {each for given in [*node.args, *node.keywords] for each in ast.walk(given)}
        elif isinstance(node, ast.Subscript) and _last_name(node.value) == "modules":
            nodes.add(node.slice)
    return [
        Note(
            *(node, "TC501", Hardness.BY_HAND, "a test replaces a part of `anthropic` by its name"),
            "name the part of `tenuto`, and change the test together with the code that it tests",
        )
        for node in source.nodes
        if node in nodes
        and isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _MODULE.fullmatch(node.value)
    ]


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _early_call(plan: Plan, origins: Origins) -> None:
    """Rewrite a method from before 0.3, and what reads its result."""
    source, call = origins.source, plan.call
    func = call.node.func
    assert isinstance(func, ast.Attribute)
    if call.asynchronous or call.stream:
        plan.by_hand(
            *(call.node, "TC102", "streams and asynchronous calls had other classes before 0.3"),
            "`AsyncAnthropic`, and `stream=True`, whose events have the new text alone",
        )
        return
    end = source.end(func)
    plan.edits.append(Edit(end - len(func.attr), end, "completions.create"))
    for node in occurrences(origins, call.node):
        parent = source.parents[node]
        match parent:
            case ast.Subscript(slice=ast.Constant(value=str(key))) if key in _FIELDS:
                # The result may stand in brackets of its own.
                start = source.text.index("[", source.end(node))
                plan.edits.append(Edit(start, source.end(parent), f".{key}"))
            case ast.Expr() | ast.Assign() | ast.Return() | ast.Attribute(attr="completion"):
                pass
            case ast.Call(func=ast.Name(id="print")):
                pass
            case _:
                plan.by_hand(
                    *(node, "TC301", "the result was a dict, and is used in another way"),
                    "read its attributes: `.completion`, `.stop_reason`",
                )
