"""The way of a text through a source: assignments, containers, local functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, TypeAlias

from tenuto.migrate.python.front_space import FrontSpace
from tenuto.migrate.python.origins import RUNNERS, Origins

Step: TypeAlias = str | int | None
"""A key of a dict, the name of an attribute, 0 for the first element, or None for any element."""
Place: TypeAlias = tuple[ast.expr, tuple[Step, ...]]
"""An expression, and where the text lies in its value: () if it is the text itself."""

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_SAME_FRONT: Final = {
    *("rstrip", "lower", "upper", "title", "capitalize", "casefold", "replace", "removesuffix"),
    *("encode", "expandtabs", "swapcase", "format"),
}
_SAME_VALUE: Final = {"str", "list", "tuple", "iter", "reversed", "sorted"}
_ADDED: Final = {"append", "put", "put_nowait", "add", "appendleft"}
_TAKEN: Final = {"get", "pop", "get_nowait", "popleft", "__next__"}
_MOST_PLACES: Final = 2_000
_DEEPEST: Final = 4


class TextFlow:
    """Find where a text of an answer goes, as far as this source shows it."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._source = origins.source
        self._scopes = origins.scopes
        self._space = FrontSpace(origins)

    def counts_on_space(self, text: ast.expr) -> ast.expr | None:
        """Return the first place that needs the space in front of a text; None without one."""
        for node, path in self._places(text):
            if not path and self._space.is_needed(node):
                return node
        return None

    def returned_by(self, text: ast.expr) -> str:
        """Return the name of the first function that other files may get the text of, or ""."""
        for node, _ in self._places(text):
            if not isinstance(self._source.parents[node], ast.Return):
                continue
            function = self._scopes.scope(node).node
            outer = self._source.parents.get(function)
            name = getattr(function, "name", "_")
            if not name.startswith("_") and isinstance(outer, ast.Module | ast.ClassDef):
                return str(name)
        return ""

    def _places(self, text: ast.expr) -> Iterator[Place]:
        """Yield the places that a text reaches with its front, each once."""
        waiting: list[Place] = [(text, ())]
        seen: set[tuple[int, tuple[Step, ...]]] = set()
        while waiting and len(seen) < _MOST_PLACES:
            node, path = waiting.pop(0)
            if (id(node), path) in seen or len(path) > _DEEPEST:
                continue
            seen.add((id(node), path))
            yield node, path
            waiting += self._next(node, path)

    def _next(self, node: ast.expr, path: tuple[Step, ...]) -> Iterator[Place]:
        parent = self._source.parents[node]
        match parent:
            case ast.Await() | ast.Starred() | ast.BoolOp():
                yield parent, path
            case ast.NamedExpr(target=target):
                yield parent, path
                yield from self._assigned(target, path)
            case ast.IfExp(test=test) if test is not node:
                yield parent, path
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from self._assigned(target, path)
            case ast.AnnAssign(target=target):
                yield from self._assigned(target, path)
            case ast.AugAssign(target=ast.Name() as target) if self._begins_empty(target):
                yield from self._assigned(target, path)
            case ast.BinOp(op=ast.Add(), left=left):
                if left is node or (isinstance(left, ast.Name) and self._begins_empty(left)):
                    yield parent, path
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if value is node and isinstance(key, ast.Constant):
                        yield parent, (str(key.value), *path)
            case ast.List() | ast.Tuple() | ast.Set():
                yield parent, (None, *path)
            case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
                if part is node:
                    yield parent, (None, *path)
            case ast.DictComp(value=part) if part is node:
                yield parent, (None, *path)
            case ast.For(iter=whole, target=target) | ast.AsyncFor(iter=whole, target=target):
                if whole is node and path and path[0] is None:
                    yield from self._assigned(target, path[1:])
            case ast.comprehension(iter=whole, target=target):
                if whole is node and path and path[0] is None:
                    yield from self._assigned(target, path[1:])
            case ast.Return():
                yield from ((call, path) for call in self._callers(node))
                yield from ((call, (None, *path)) for call in self._mapped(node))
            case ast.Lambda(body=body) if body is node:
                yield from ((call, path) for call in self._calls_of_lambda(parent))
            case ast.Yield():
                yield from ((call, (None, *path)) for call in self._callers(node))
            case ast.FormattedValue(conversion=-1, format_spec=None):
                joined = self._source.parents[parent]
                if isinstance(joined, ast.JoinedStr) and joined.values[0] is parent:
                    yield joined, path
            case ast.keyword(arg=str(name)):
                call = self._source.parents[parent]
                if isinstance(call, ast.Call):
                    yield from self._passed(call, name, path)
            case ast.Call() if parent.func is not node:
                yield from self._in_call(parent, node, path)
            case ast.Attribute(attr=attr):
                yield from self._of_attribute(parent, attr, path)
            case ast.Subscript(value=value, slice=part) if value is node:
                yield from self._of_item(parent, part, path)
            case _:
                pass

    def _assigned(self, target: ast.AST, path: tuple[Step, ...]) -> Iterator[Place]:
        """Yield the places that read what is assigned."""
        match target:
            case ast.Name(id=name):
                statement = self._source.statement(target)
                for load in self._scopes.loads(name, target):
                    reaching = self._scopes.bindings(name, load)
                    if len(reaching) != 1 or reaching[0].statement is statement:
                        yield load, path
            case ast.Tuple(elts=parts) | ast.List(elts=parts) if path and path[0] is None:
                for part in parts:
                    yield from self._assigned(part, path[1:])
            case ast.Attribute(attr=attr):
                yield from ((load, path) for load in self._origins.attributes[attr])
            case ast.Subscript(value=ast.Name() as value, slice=part):
                key = str(part.value) if isinstance(part, ast.Constant) else None
                yield from self._assigned_name(value, (key, *path))
            case _:
                pass

    def _assigned_name(self, name: ast.Name, path: tuple[Step, ...]) -> Iterator[Place]:
        yield from ((load, path) for load in self._scopes.loads(name.id, name))

    def _begins_empty(self, name: ast.Name) -> bool:
        """Return whether a variable may be the empty text, before a text is added to it."""
        return any(
            isinstance(binding.node, ast.Constant) and binding.node.value == ""
            for binding in self._scopes.all_bindings(name.id, name)
        )

    def _callers(self, node: ast.expr) -> list[ast.expr]:
        """Return the calls in this source of the function that contains a node."""
        function = self._scopes.scope(node).node
        if not isinstance(function, _FUNCTIONS):
            return []
        found: list[ast.expr] = list(self._origins.calls.get(function, []))
        if any("property" in ast.unparse(each) for each in function.decorator_list):
            found += self._origins.attributes[function.name]
        return found

    def _mapped(self, node: ast.expr) -> list[ast.Call]:
        """Return the calls such as `map(ask, questions)` of the function that contains a node."""
        return self._origins.maps.get(self._scopes.scope(node).node, [])

    def _calls_of_lambda(self, function: ast.Lambda) -> list[ast.expr]:
        """Return the calls of a function that is assigned to a variable."""
        statement = self._source.parents[function]
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        loads = [
            load
            for target in targets
            if isinstance(target, ast.Name)
            for load in self._scopes.loads(target.id, target)
        ]
        calls = [self._source.parents[load] for load in loads]
        return [
            call
            for call, load in zip(calls, loads, strict=True)
            if isinstance(call, ast.Call) and call.func is load
        ]

    def _in_call(self, call: ast.Call, node: ast.expr, path: tuple[Step, ...]) -> Iterator[Place]:
        """Yield the places of an argument."""
        match call.func:
            case ast.Name(id=name) if name in _SAME_VALUE:
                yield call, path
            case ast.Name(id="next") if path and path[0] is None:
                yield call, path[1:]
            case ast.Attribute(attr="gather"):
                yield call, (None, *path)
            case ast.Attribute(attr="join", value=ast.Constant()) if path and path[0] is None:
                yield call, path[1:]
            case ast.Attribute(attr=attr, value=ast.Name() as owner) if attr in _ADDED:
                yield from self._assigned_name(owner, (None, *path))
            case ast.Attribute(attr=attr, value=ast.Attribute(attr=owner)) if attr in _ADDED:
                yield from ((load, (None, *path)) for load in self._origins.attributes[owner])
            case _:
                if any(p.endswith(RUNNERS) for p in self._origins.paths(call.func)):
                    yield call, path
                elif node in call.args:
                    yield from self._passed(call, call.args.index(node), path)

    def _passed(
        self, call: ast.Call, argument: str | int, path: tuple[Step, ...]
    ) -> Iterator[Place]:
        """Yield the places that read an argument in a function or a class of this source."""
        for definition in self._origins.definitions(call.func):
            if isinstance(definition, _FUNCTIONS):
                arguments = definition.args
                names = [*arguments.posonlyargs, *arguments.args]
                if isinstance(call.func, ast.Attribute) and names and names[0].arg == "self":
                    names = names[1:]
                found = names[argument : argument + 1] if isinstance(argument, int) else []
                if isinstance(argument, str):
                    every = [*names, *arguments.kwonlyargs]
                    found = [each for each in every if each.arg == argument]
                for each in found:
                    inside = definition.body[0]
                    loads = self._scopes.loads(each.arg, inside)
                    yield from ((load, path) for load in loads)
            elif isinstance(definition, ast.ClassDef) and isinstance(argument, str):
                yield from ((load, path) for load in self._origins.attributes[argument])

    def _of_attribute(
        self, parent: ast.Attribute, attr: str, path: tuple[Step, ...]
    ) -> Iterator[Place]:
        outer = self._source.parents[parent]
        called = isinstance(outer, ast.Call) and outer.func is parent
        if not called or not isinstance(outer, ast.Call):
            return
        if not path and attr in _SAME_FRONT:
            yield outer, ()
        elif not path and (attr == "splitlines" or (attr == "split" and outer.args)):
            # The first part has the space; `.split()` would remove it.
            yield outer, (0,)
        elif path and attr in _TAKEN:
            key = outer.args[0] if outer.args else None
            if path[0] is None or (isinstance(key, ast.Constant) and key.value == path[0]):
                yield outer, path[1:]
        elif path and attr in ("values", "copy"):
            yield outer, (None, *path[1:]) if attr == "values" else path

    def _of_item(
        self, parent: ast.Subscript, part: ast.expr, path: tuple[Step, ...]
    ) -> Iterator[Place]:
        if not path:
            if isinstance(part, ast.Slice) and part.lower is None and part.step is None:
                yield parent, ()
        elif isinstance(part, ast.Slice):
            yield parent, path
        elif path[0] is None or not isinstance(part, ast.Constant) or part.value == path[0]:
            yield parent, path[1:]
