"""The argument `model` -> the name of a model of the Messages API."""

from __future__ import annotations

import ast
import re
from typing import Final
from weakref import WeakKeyDictionary

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.argument import Argument
from tenuto.migrate.python.calls import calls
from tenuto.migrate.python.origins import Origins, last_name
from tenuto.migrate.python.plan import Options, Plan
from tenuto.migrate.python.scopes import default_of
from tenuto.migrate.python.source import Edit

_OLD_MODEL: Final = re.compile(r"claude-(?:v?1|v?2|instant)|claude$|claude-\d")
# A name that the Messages API has: it says more than the option.
_CURRENT_MODEL: Final = re.compile(r"claude-(?!instant)[a-z]+-\d")
# The whole text of a literal that names one.
_OLD_NAME: Final = re.compile(
    r"claude-(?:v?1|v?2|instant)(?:[.-]v?\d+)*(?:-(?:latest|100k))?|claude-instant"
)
_VARIABLES: Final = {"os.getenv", "os.environ.get"}
# Functions of typer, pydantic and FastAPI whose first argument is a default.
_DEFAULTS: Final = {"Option", "Argument", "Field", "Query", "Body", "Form"}
_DEEPEST: Final = 5
# By source: each of its calls may ask.
_FOUND: Final[WeakKeyDictionary[Origins, list[ast.Constant]]] = WeakKeyDictionary()


def rewrite_model(plan: Plan, origins: Origins, options: Options, argument: Argument) -> None:
    """Replace the name of a model, if it is a literal here or in its variable."""
    new = f'"{options.model}"'
    value = argument.value
    if plan.call.cloud:
        plan.review(
            *(value, "TC109", "the platform has its own names of models"),
            "name a model that this platform offers",
        )
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        if value.value != options.model and not _CURRENT_MODEL.match(value.value):
            plan.edits.append(Edit(*origins.source.span(value), new))
    elif literals := _literals(value, origins):
        plan.edits += [
            Edit(*origins.source.span(literal), new)
            for literal in literals
            if literal.value != options.model
        ]
        plan.edits += _choices(value, origins, options.model)
    elif others := _unexplained(origins):
        for literal in others:
            plan.review(
                *(literal, "TC109", "a call may get this name of an old model"),
                f"name a model of the Messages API, such as {options.model}",
            )
    else:
        plan.note(
            *(value, "TC109", Hardness.MECHANICAL, "the model's name comes from elsewhere"),
            f"it must name a model of the Messages API, such as {options.model}",
        )


def _unexplained(origins: Origins) -> list[ast.Constant]:
    """Return the literal names of old models that no call is known to use."""
    if origins not in _FOUND:
        _FOUND[origins] = _search_unexplained(origins)
    return _FOUND[origins]


def _search_unexplained(origins: Origins) -> list[ast.Constant]:
    known: set[ast.AST] = set()
    for call in calls(origins):
        if (keyword := call.keyword("model")) is not None:
            known |= {keyword.value, *_literals(keyword.value, origins)}
    return [
        node
        for node in origins.source.nodes
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _OLD_NAME.fullmatch(node.value)
        and node not in known
    ]


def _choices(node: ast.AST, origins: Origins, new: str) -> list[Edit]:
    """Return the edits of the `choices` of an option of `argparse` that names the model."""
    if not isinstance(node, ast.Attribute):
        return []
    edits = []
    for call in _options(node.attr, origins):
        for keyword in call.keywords:
            if keyword.arg != "choices" or not isinstance(keyword.value, ast.List | ast.Tuple):
                continue
            items = keyword.value.elts
            names = [
                f'"{new}"'
                if isinstance(item, ast.Constant) and _OLD_NAME.fullmatch(str(item.value))
                else origins.source.segment(item)
                for item in items
            ]
            kept = list(dict.fromkeys(names))
            if items and names != [origins.source.segment(item) for item in items]:
                tuple_of_one = isinstance(keyword.value, ast.Tuple) and len(kept) == 1
                text = ", ".join(kept) + "," * tuple_of_one
                start, end = origins.source.start(items[0]), origins.source.end(items[-1])
                edits.append(Edit(start, end, text))
    return edits


def _options(name: str, origins: Origins) -> list[ast.Call]:
    """Return the calls of `add_argument` for an option."""
    return [call for call in origins.calls_by_name["add_argument"] if _is_named(call, name)]


def _is_named(call: ast.Call, name: str) -> bool:
    """Return whether the texts of an option's call, such as `"--model"`, have a name."""
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    texts += [
        keyword.value.value
        for keyword in call.keywords
        if keyword.arg == "dest" and isinstance(keyword.value, ast.Constant)
    ]
    return name in {str(each).lstrip("-").replace("-", "_") for each in texts}


def _passed_by_name(argument: ast.arg, function: ast.AST, origins: Origins) -> list[ast.expr]:
    """Return the values of an argument in calls of methods, in `partial`, and of decorators."""
    calls = origins.calls_by_name[getattr(function, "name", "")]
    found = [k.value for call in calls for k in call.keywords if k.arg == argument.arg]
    for decorator in getattr(function, "decorator_list", []):
        if (
            isinstance(decorator, ast.Call)
            and last_name(decorator.func) in ("option", "argument")
            and _is_named(decorator, argument.arg)
        ):
            found += [k.value for k in decorator.keywords if k.arg == "default"]
    return found


def _fields(name: str, origins: Origins) -> list[ast.AST | None]:
    """Return the values that classes and options of this source give to a field."""
    found: list[ast.AST | None] = []
    for node in origins.source.nodes:
        match node:
            case ast.ClassDef(body=statements):
                for each in statements:
                    match each:
                        case ast.AnnAssign(target=ast.Name(id=field)) if field == name:
                            found.append(each.value)
                        case ast.Assign(targets=[ast.Name(id=field)]) if field == name:
                            found.append(each.value)
                        case _:
                            pass
            case ast.Call():
                given = [k.value for k in node.keywords if k.arg == name]
                if given and any(
                    isinstance(each, ast.ClassDef) for each in origins.definitions(node.func)
                ):
                    found += given
            case _:
                pass
    for option in _options(name, origins):
        found += [k.value for k in option.keywords if k.arg == "default"]
    return found


def _items(node: ast.AST, key: object) -> list[ast.AST | None]:
    """Return the values of a key in a dict display."""
    if not isinstance(node, ast.Dict):
        return []
    pairs = zip(node.keys, node.values, strict=True)
    return [value for each, value in pairs if isinstance(each, ast.Constant) and each.value == key]


def _literals(node: ast.AST, origins: Origins) -> list[ast.Constant]:
    """Return the literal names of old models that an expression may have."""
    found = []
    seen = {node}
    waiting: list[tuple[ast.AST, int]] = [(node, 0)]
    while waiting:
        value, depth = waiting.pop(0)
        if isinstance(value, ast.Constant):
            if isinstance(value.value, str) and _OLD_MODEL.match(value.value):
                found.append(value)
        elif depth <= _DEEPEST:
            # Each once: classes whose fields have one name give each other's values.
            new = [each for each in _sources(value, origins) if each is not None]
            waiting += [(each, depth + 1) for each in dict.fromkeys(new) if each not in seen]
            seen.update(new)
    return found


def _sources(node: ast.AST, origins: Origins) -> list[ast.AST | None]:
    """Return the expressions whose values an expression may have."""
    found: list[ast.AST | None] = []
    match node:
        case ast.Name(id=name):
            for binding in origins.scopes.all_bindings(name, node):
                if binding.kind == "parameter" and isinstance(binding.node, ast.arg):
                    found.append(default_of(binding.node, binding.statement))
                    found += origins.passed(binding.node, binding.statement)
                    found += _passed_by_name(binding.node, binding.statement, origins)
                elif binding.kind == "value":
                    found.append(binding.node)
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attr):
            owners = [n for n in origins.source.ancestors(node) if isinstance(n, ast.ClassDef)]
            found += origins.scopes.attributes(owners[0]).get(attr, []) if owners else []
        case ast.Attribute(attr=attr):
            found += _fields(attr, origins)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=key)):
            for binding in origins.scopes.all_bindings(name, node):
                found += _items(binding.node, key)
        case ast.Call(args=[_, default]) if origins.paths(node.func) & _VARIABLES:
            found.append(default)
        case ast.Call(func=func, args=arguments) if last_name(func) in _DEFAULTS:
            found += arguments[:1]
            found += [k.value for k in node.keywords if k.arg == "default"]
        case ast.BoolOp(values=values):
            found += values
        case ast.IfExp(body=body, orelse=other):
            found += [body, other]
        case _:
            pass
    return found
