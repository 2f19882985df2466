"""Places that need the space in front of a completion, which the Messages API does not have."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.python.origins import Origins

_STRIPS: Final = {"strip", "lstrip", "rstrip", "removeprefix"}
_CUTS: Final = {"split", "partition", "find", "index"}
_PATTERN: Final = re.compile(r"(?:re|regex)\.\w+")
# A pattern that begins with white space which has to be there.
_SPACED: Final = re.compile(r"\^?\(?(?: |\\s|\[ \]|\[\\s\])(?![*?])")
_DEEPEST: Final = 3


class FrontSpace:
    """Judge the places that use a text."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._source = origins.source

    def is_needed(self, node: ast.expr) -> bool:
        """Return whether the use of a text is right only with a space in front of it."""
        parent = self._source.parents[node]
        match parent:
            case ast.Subscript(value=value, slice=part):
                if value is node:
                    return self._cuts_front(part) and not self._is_guarded(node)
                return self._spaced(value)  # A key.
            case ast.Compare(left=left, comparators=others):
                return any(self._spaced(each) for each in (left, *others) if each is not node)
            case ast.Match(cases=cases):
                patterns = [case.pattern for case in cases]
                return any(
                    _begins_with_space(each)
                    for pattern in patterns
                    for each in ast.walk(pattern)
                    if isinstance(each, ast.Constant)
                )
            case ast.Attribute(attr=attr):
                call = self._source.parents[parent]
                return (
                    isinstance(call, ast.Call) and call.func is parent and self._method(call, attr)
                )
            case ast.Call(func=func, args=[first, *_]) if first is not node and func is not node:
                if isinstance(func, ast.Attribute) and func.attr in ("get", "index", "count"):
                    return False
                return bool(
                    any(_PATTERN.match(path) for path in self._origins.paths(func))
                    and any(_SPACED.match(text) for text in self._texts(first))
                )
            case ast.Call(func=ast.Attribute(attr=attr, value=owner), args=[first, *_]):
                if first is not node:
                    return False
                if attr in ("match", "fullmatch") and isinstance(owner, ast.Name | ast.Call):
                    return any(_SPACED.match(text) for text in self._pattern(owner))
                return attr in ("get", "index", "count", "pop") and self._spaced(owner)
            case _:
                return False

    def _method(self, call: ast.Call, attr: str) -> bool:
        if attr in _STRIPS:
            return False
        if attr in _CUTS and any(text == " " for arg in call.args[:1] for text in self._texts(arg)):
            return True
        if attr == "replace" and len(call.args) > 2:
            # `.replace(" ", "", 1)` removes the first space.
            return any(text == " " for text in self._texts(call.args[0]))
        return any(self._spaced(argument) for argument in call.args)

    def _cuts_front(self, part: ast.expr) -> bool:
        """Return whether an index or a slice removes a letter or takes the first ones."""
        if isinstance(part, ast.Slice):
            part = part.lower or ast.Constant(None)
        return isinstance(part, ast.Constant) and isinstance(part.value, int)

    def _is_guarded(self, node: ast.expr) -> bool:
        """Return whether a place is in an arm of a condition on the beginning of the text."""
        start = f"{ast.unparse(node)}.startswith("
        conditions = [
            each.test
            for each in self._source.ancestors(node)
            if isinstance(each, ast.If | ast.IfExp)
        ]
        return any(start in ast.unparse(condition) for condition in conditions)

    def _spaced(self, node: ast.expr) -> bool:
        if isinstance(node, ast.JoinedStr) and len(node.values) > 1:
            first = node.values[0]
            return isinstance(first, ast.Constant) and str(first.value).startswith(" ")
        return any(text.startswith(" ") and text.strip() for text in self._texts(node)) or (
            isinstance(node, ast.Constant) and node.value == " " and self._is_compared_alone(node)
        )

    def _is_compared_alone(self, node: ast.expr) -> bool:
        """Return whether one letter of a text is compared with a space."""
        parent = self._source.parents[node]
        return isinstance(parent, ast.Compare) and isinstance(parent.left, ast.Subscript)

    def _texts(self, node: ast.expr, depth: int = 0) -> Iterator[str]:
        """Yield the texts in an expression, also those of variables."""
        for each in ast.walk(node):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each.value
            elif isinstance(each, ast.Name) and depth < _DEEPEST:
                for binding in self._origins.scopes.all_bindings(each.id, each):
                    if binding.kind == "value" and isinstance(
                        binding.node, ast.Constant | ast.List | ast.Tuple | ast.Set | ast.Dict
                    ):
                        yield from self._texts(binding.node, depth + 1)

    def _pattern(self, owner: ast.Name | ast.Call) -> Iterator[str]:
        if isinstance(owner, ast.Call):
            for argument in owner.args[:1]:
                yield from self._texts(argument)
            return
        for binding in self._origins.scopes.all_bindings(owner.id, owner):
            if isinstance(binding.node, ast.Call) and binding.node.args:
                yield from self._texts(binding.node.args[0])


def _begins_with_space(node: ast.Constant) -> bool:
    return isinstance(node.value, str) and node.value.startswith(" ") and bool(node.value.strip())
