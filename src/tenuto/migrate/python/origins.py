"""The origin of an expression: a path from an import, such as `anthropic.Anthropic().completions`.

`()` in a path is the result of a call, `[*]` an element of an iterable, `['key']` an item. A call,
an `await` and the name of a context manager keep the path.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tenuto.migrate.python.scopes import Binding, Scopes, default_of
from tenuto.migrate.python.source import Source

UNKNOWN: Final = "?"
RUNNERS: Final = (
    *("asyncio.run", ".run_until_complete", "anyio.run", "asyncio.wait_for", "asyncio.shield"),
    *("asyncio.ensure_future", ".create_task"),
)
"""Functions whose result, or that of their task, is that of the coroutine that they get."""
_FIELDS: Final = ("dataclasses.field", "pydantic.Field", "attr.ib", "attrs.field", "attr.field")
_MANAGERS: Final = {"contextlib.contextmanager", "contextlib.asynccontextmanager"}
_DEEPEST: Final = 60
# Where expressions give each other values in circles, the ways through them grow exponentially.
_MOST_STEPS: Final = 20_000
"""For one expression: expressions that it depends on, and their origins."""
_MOST_STEPS_OF_ALL: Final = 500_000
"""For all of a source, about 2 s. From then on each expression gets fewer."""
_FEWER_STEPS: Final = 500
_MOST_ORIGINS: Final = 64
"""Most origins of an expression; of more, the shortest paths, as others go through a circle."""


@dataclass(frozen=True)
class Origin:
    """One origin of an expression.

    Attributes:
        path: The path; `UNKNOWN` if it cannot be followed.
        call: The last call in the path, if this module makes it.
    """

    path: str
    call: ast.Call | None = None

    def then(self, step: str, call: ast.Call | None = None) -> Origin:
        """Return the origin of a part of the value."""
        if self.path == UNKNOWN and call is None:
            return self
        return Origin(self.path + step, call or self.call)


_UNKNOWN: Final = frozenset({Origin(UNKNOWN)})


class Origins:
    """The origins of all expressions of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.scopes = Scopes(source)
        self._known: dict[ast.AST, frozenset[Origin]] = {}
        # What lacks a part that goes through expressions that are being evaluated, with these.
        self._partly: dict[ast.AST, tuple[frozenset[Origin], set[ast.AST]]] = {}
        # The expressions that are being evaluated, with those that their results lack so far.
        self._open: dict[ast.AST, set[ast.AST]] = {}
        self._steps = self._all_steps = 0
        self._definitions: dict[str, ast.AST] = {}

    def of(self, node: ast.AST) -> frozenset[Origin]:
        """Return the origins of an expression."""
        known = self._known.get(node)
        if known is not None:
            return known
        if node in self._open:
            self._lack({node})
            return frozenset()
        found, lacking = self._partly.get(node, (None, set()))
        if found is not None and lacking <= self._open.keys():
            # It would end at the same expressions again.
            self._lack(lacking)
            return found
        if not self._open:
            self._steps = _MOST_STEPS if self._all_steps < _MOST_STEPS_OF_ALL else _FEWER_STEPS
        if len(self._open) > _DEEPEST or self._steps <= 0:
            self._lack({next(iter(self._open))})
            return frozenset()
        self._open[node] = set()
        origins = self._evaluate(node)
        self._steps -= 1 + len(origins)
        self._all_steps += 1 + len(origins)
        found = frozenset(_shortest(origins))
        lacking = self._open.pop(node) - {node}
        if not (found or lacking):
            found = _UNKNOWN
        if lacking:
            self._partly[node] = found, lacking
            self._lack(lacking)
        else:
            self._known[node] = found
        if not self._open:
            self._partly.clear()
        return found

    def _lack(self, nodes: set[ast.AST]) -> None:
        """Note what the result of the innermost open expression lacks."""
        self._open[next(reversed(self._open))].update(nodes)

    def paths(self, node: ast.AST) -> set[str]:
        """Return the paths of an expression."""
        return {origin.path for origin in self.of(node)}

    def _evaluate(self, node: ast.AST) -> set[Origin] | frozenset[Origin]:
        match node:
            case ast.Name(id=name):
                return self._name(name, node)
            case ast.Attribute(value=value, attr=attr):
                return {o for base in self.of(value) for o in self._attribute(base, attr)}
            case ast.Call():
                return self._call(node)
            case ast.Await(value=value) | ast.NamedExpr(value=value) | ast.Starred(value=value):
                return self.of(value)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
                return {base.then(f"[{key!r}]") for base in self.of(value)}
            case ast.Subscript(value=value):
                return {base.then("[?]") for base in self.of(value)}
            case ast.IfExp(body=body, orelse=other):
                return self.of(body) | self.of(other)
            case ast.BoolOp(values=values):
                return {origin for value in values for origin in self.of(value)}
            case ast.Constant(value=None):
                return {Origin("None")}
            case _:
                return _UNKNOWN

    def _name(self, name: str, node: ast.AST) -> set[Origin]:
        bindings = self.scopes.bindings(name, node)
        if not bindings:
            stars = {f"{star.module}.{name}" for star in self.scopes.stars if star.module}
            modules = [path for path in stars if path.startswith("anthropic.")]
            return {Origin(modules[0])} if modules else {Origin(f"<{name}>")}
        return {origin for binding in bindings for origin in self.bound(binding)}

    def bound(self, binding: Binding) -> set[Origin] | frozenset[Origin]:
        """Return the origins of a binding's value."""
        match binding.kind:
            case "import":
                return {Origin(binding.path)}
            case "value":
                return self.of(binding.node)
            case "context":
                return {origin.then("") for origin in self.of(binding.node)}
            case "element":
                return {origin.then("[*]") for origin in self.of(binding.node)}
            case "definition":
                return {self._definition(binding.node)}
            case "parameter":
                return self._parameter(binding)
            case _:
                return _UNKNOWN

    def definitions(self, node: ast.AST) -> list[ast.AST]:
        """Return the functions and classes of this source that an expression stands for."""
        found = [self._definitions.get(path) for path in self.paths(node)]
        return [each for each in found if each is not None]

    def classes(self, node: ast.AST) -> list[ast.ClassDef]:
        """Return the classes of this source that the value of an expression may be of."""
        found = [self._definitions.get(path.removesuffix("()")) for path in self.paths(node)]
        return [each for each in found if isinstance(each, ast.ClassDef)]

    @cached_property
    def calls(self) -> dict[ast.AST, list[ast.Call]]:
        """The calls in this source, by the function or the class that they call."""
        found: dict[ast.AST, list[ast.Call]] = defaultdict(list)
        for node in self.source.nodes:
            if isinstance(node, ast.Call):
                for definition in self.definitions(node.func):
                    found[definition].append(node)
        return found

    @cached_property
    def calls_by_name(self) -> dict[str, list[ast.Call]]:
        """The calls in this source by the last name of their function, and of `partial`'s."""
        found: dict[str, list[ast.Call]] = defaultdict(list)
        for node in self.source.nodes:
            if isinstance(node, ast.Call):
                name = last_name(node.func)
                found[name].append(node)
                if name == "partial" and node.args:
                    found[last_name(node.args[0])].append(node)
        return found

    @cached_property
    def maps(self) -> dict[ast.AST, list[ast.Call]]:
        """The calls such as `map(ask, questions)`, by their function."""
        found: dict[ast.AST, list[ast.Call]] = defaultdict(list)
        for node in self.source.nodes:
            if not (isinstance(node, ast.Call) and node.args):
                continue
            if ast.unparse(node.func).rpartition(".")[2] in ("map", "imap"):
                for definition in self.definitions(node.args[0]):
                    found[definition].append(node)
        return found

    @cached_property
    def attributes(self) -> dict[str, list[ast.expr]]:
        """The places that read an attribute, by its name, of whatever object."""
        found: dict[str, list[ast.expr]] = defaultdict(list)
        for node in self.source.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found[node.attr].append(node)
        return found

    def _definition(self, node: ast.AST) -> Origin:
        kind = "class" if isinstance(node, ast.ClassDef) else "def"
        path = f"<{kind} {getattr(node, 'lineno', 0)}>"
        self._definitions[path] = node
        return Origin(path)

    def _parameter(self, binding: Binding) -> set[Origin]:
        argument, function = binding.node, binding.statement
        owner = self.source.parents.get(function)
        if isinstance(owner, ast.ClassDef) and isinstance(
            function, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            arguments = [*function.args.posonlyargs, *function.args.args]
            if arguments and arguments[0] is argument:
                return {self._definition(owner).then("()")}
        annotation = getattr(argument, "annotation", None)
        if annotation is not None:
            return {origin.then("()") for origin in self._annotated(annotation)}
        if isinstance(argument, ast.arg) and isinstance(
            function, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            default = default_of(argument, function)
            found = {o for o in self.of(default) if o.path != "None"} if default else set()
            found |= {o for value in self.passed(argument, function) for o in self.of(value)}
            return found or set(_UNKNOWN)
        return set(_UNKNOWN)

    def passed(self, argument: ast.arg, function: ast.AST) -> list[ast.expr]:
        """Return the expressions that calls in this module pass for an argument."""
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            return []
        positional = [*function.args.posonlyargs, *function.args.args]
        index = positional.index(argument) if argument in positional else len(positional)
        found = []
        for call in self.calls_by_name.get(function.name, []):
            if not (isinstance(call.func, ast.Name) and call.func.id == function.name):
                continue
            found += [keyword.value for keyword in call.keywords if keyword.arg == argument.arg]
            found += call.args[index : index + 1]
        return found

    @cached_property
    def _results(self) -> dict[ast.AST, list[ast.Return | ast.Yield]]:
        """The statements that return or yield a value, by their function."""
        found: dict[ast.AST, list[ast.Return | ast.Yield]] = defaultdict(list)
        for node in self.source.nodes:
            if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
                found[self.scopes.scope(node).node].append(node)
        return found

    def _annotated(self, annotation: ast.expr) -> set[Origin]:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            return self.named(annotation.value, annotation)
        if isinstance(annotation, ast.BinOp):
            sides = (annotation.left, annotation.right)
            found = {o for side in sides for o in self._annotated(side)}
            return {o for o in found if o.path != "None"}
        if isinstance(annotation, ast.Subscript) and "typing.Optional" in self.paths(
            annotation.value
        ):
            return self._annotated(annotation.slice)
        return set(self.of(annotation))

    def named(self, text: str, node: ast.AST) -> set[Origin]:
        """Return the origins of a dotted name that a text holds at a node."""
        parts = text.split(".")
        if not all(part.isidentifier() for part in parts):
            return set(_UNKNOWN)
        found = self._name(parts[0], node)
        return {o.then("".join(f".{p}" for p in parts[1:])) for o in found}

    def _attribute(self, base: Origin, attr: str) -> set[Origin] | frozenset[Origin]:
        if base.path.startswith("<class ") and base.path.endswith((">", ">()")):
            owner = self._definitions.get(base.path.removesuffix("()"))
            if isinstance(owner, ast.ClassDef):
                return self._member(owner, attr, base) or {base.then(f".{attr}")}
        return {base.then(f".{attr}")}

    def _member(self, owner: ast.ClassDef, attr: str, base: Origin) -> set[Origin]:
        found: set[Origin] = set()
        for value in self.scopes.attributes(owner).get(attr, []):
            found |= self.of(value)
        for each in owner.body:
            match each:
                case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == attr:
                    found |= self.of(value)
                case ast.AnnAssign(target=ast.Name(id=name)) if name == attr:
                    if each.value is not None:
                        found |= self.of(each.value)
                    found |= {o.then("()") for o in self._annotated(each.annotation)}
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name == attr:
                    decorators = {p for d in each.decorator_list for p in self.paths(d)}
                    if any(path.endswith(("property>", ".cached_property")) for path in decorators):
                        found |= self._returned(each)
                    else:
                        found.add(self._definition(each))
                case _:
                    pass
        if not found:
            for parent in owner.bases:
                for origin in self.of(parent):
                    node = self._definitions.get(origin.path)
                    if isinstance(node, ast.ClassDef) and node is not owner:
                        found |= self._member(node, attr, base)
        known = {origin for origin in found if origin.path not in (UNKNOWN, "None")}
        return known or found

    def _call(self, node: ast.Call) -> set[Origin] | frozenset[Origin]:
        match node:
            case ast.Call(
                func=ast.Name(id="getattr"), args=[value, ast.Constant(value=str(name)), *_]
            ):
                return {o for base in self.of(value) for o in self._attribute(base, name)}
            case _:
                pass
        found: set[Origin] = set()
        for origin in self.of(node.func):
            definition = self._definitions.get(origin.path)
            if isinstance(definition, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= self._returned(definition)
            elif any(origin.path.endswith(runner) for runner in RUNNERS) and node.args:
                found |= self.of(node.args[0])
            elif origin.path in _FIELDS:
                found |= self._field(node)
            else:
                found.add(origin.then("()", node))
        return found

    def _field(self, node: ast.Call) -> set[Origin]:
        """Return the origins of the default value that a dataclass's field has."""
        found: set[Origin] = set()
        for keyword in node.keywords:
            if keyword.arg == "default":
                found |= self.of(keyword.value)
            elif keyword.arg in ("default_factory", "factory"):
                maker = keyword.value
                if isinstance(maker, ast.Lambda):
                    found |= self.of(maker.body)
                else:
                    found |= {origin.then("()") for origin in self.of(maker)}
        return found

    def _returned(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[Origin]:
        found: set[Origin] = set()
        managed = any(self.paths(each) & _MANAGERS for each in function.decorator_list)
        for node in self._results.get(function, []):
            if node.value is not None:
                # A `with` binds what a function of `contextlib` yields.
                step = "" if isinstance(node, ast.Return) or managed else "<yielded>"
                found |= {origin.then(step) for origin in self.of(node.value)}
        return found


def _shortest(origins: set[Origin] | frozenset[Origin]) -> Iterable[Origin]:
    if len(origins) <= _MOST_ORIGINS:
        return origins
    return sorted(origins, key=_length)[:_MOST_ORIGINS]


def _length(origin: Origin) -> tuple[int, str, int]:
    return len(origin.path), origin.path, 0 if origin.call is None else origin.call.lineno


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name, or ""."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
