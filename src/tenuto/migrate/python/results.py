"""The results of calls: each place that reads one, and its replacement."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.atoms import constant_of
from tenuto.migrate.python.calls import calls
from tenuto.migrate.python.origins import Origin, Origins, last_name
from tenuto.migrate.python.plan import Plan
from tenuto.migrate.python.source import Edit
from tenuto.migrate.python.strings import literals
from tenuto.migrate.python.text_flow import TextFlow

_SETUPS: Final = {
    *("load_dotenv", "basicConfig", "dictConfig", "getLogger", "setLevel", "addHandler"),
    *("append", "insert", "extend", "setdefault", "update", "filterwarnings", "simplefilter"),
    *("configure", "init", "install", "apply", "download", "seed", "manual_seed"),
}
"""The last names of calls that prepare what a module needs."""
_ENDS: Final = {"stop_sequence", "max_tokens"}
_SAME: Final = {"id", "model"}
_RENAMED: Final = {"stop": "stop_sequence", "log_id": "id"}


def occurrences(origins: Origins, call: ast.Call, suffix: str = "()") -> Iterator[ast.expr]:
    """Yield the expressions that may be the result of a call.

    Args:
        origins: The origins of the source.
        call: The call.
        suffix: The end of the path: `()` the result itself, `()[*]` an element of it.
    """
    for node in origins.source.nodes:
        if not isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Await | ast.NamedExpr):
            continue
        if isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
            continue
        for origin in origins.of(node):
            if origin.call is call and origin.path.endswith(suffix):
                yield node
                break


def note_space(plan: Plan, place: ast.expr) -> None:
    """Add the obstacle of a place that needs the space in front of a text."""
    plan.review(
        *(place, "TC301", "the text is compared or cut as one with a space in front"),
        "leave the space out: a text of the Messages API has none in front",
    )


class Reader:
    """Rewrite the reading of results for one plan."""

    def __init__(self, plan: Plan, origins: Origins) -> None:
        self.plan = plan
        self.origins = origins
        self.source = origins.source
        self._flow = TextFlow(origins)

    def follow(self) -> None:
        """Add the edits and the obstacles of all places that read the result."""
        for node in occurrences(self.origins, self.plan.call.node):
            others = self.origins.of(node)
            self.plan.partners |= {o.call for o in others if o.call is not None}
            mixed = [o for o in others if o.path != "None" and not self._is_of_api(o)]
            if mixed and not self._passes(node):
                self.plan.review(
                    *(node, "TC301", "the variable also has other values"),
                    "read the text of `content` where the value is a Message",
                )
            self._read(node)

    def _is_of_api(self, origin: Origin) -> bool:
        """Return whether a value comes from a call of the API, and from no other function."""
        if origin.call is None or origin.call is self.plan.call.node:
            return origin.call is not None
        return any(call.node is origin.call for call in calls(self.origins))

    def _passes(self, node: ast.expr) -> bool:
        return isinstance(self.source.parents[node], ast.Await | ast.Assign | ast.Expr)

    def _read(self, node: ast.expr) -> None:
        parent = self.source.parents[node]
        match parent:
            case ast.Await() | ast.NamedExpr() | ast.Expr():
                return
            case ast.Assign(targets=targets):
                if not all(isinstance(target, ast.Name) for target in targets):
                    self._kept(node, "the result is kept in an attribute or a container")
            case ast.AnnAssign(target=ast.Name()):
                self.plan.review(
                    parent.annotation, "TC301", "the annotation names the old type", "use `Message`"
                )
            case ast.Attribute(attr=attr):
                self._attribute(node, parent, attr)
            case ast.Subscript(slice=ast.Constant(value=str(key))):
                self._field(node, parent, key)
            case ast.Call(
                func=ast.Name(id="getattr"), args=[first, ast.Constant(value=str(key)), *_]
            ) if first is node:
                self._field(node, parent, key)
            case ast.Call(func=ast.Name(id="print")):
                return
            case ast.Call(func=ast.Attribute()) if self._runs(parent):
                return
            case ast.IfExp(test=test) if test is node:
                return
            case ast.If() | ast.While() | ast.BoolOp() | ast.Assert():
                return
            case ast.UnaryOp(op=ast.Not()):
                return
            case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
                return
            case ast.Return():
                self._returned(node)
            case _:
                self._kept(node, "the result is passed on")

    def _runs(self, call: ast.Call) -> bool:
        """Return whether a call only runs a coroutine, such as `asyncio.run`."""
        return any(o.call is self.plan.call.node for o in self.origins.of(call))

    def _kept(self, node: ast.expr, message: str) -> None:
        self.plan.review(
            *(node, "TC301", message),
            "change the code that receives it: the text is in `content`, a list of blocks",
        )

    def _returned(self, node: ast.expr) -> None:
        function = self.origins.scopes.scope(node).node
        name = getattr(function, "name", "")
        outer = self.source.parents.get(function)
        if name.startswith("_") or not isinstance(outer, ast.Module | ast.ClassDef):
            return
        if isinstance(outer, ast.Module) and self._is_program() and not self._is_method(outer):
            return
        self._kept(node, f"`{name}` returns the result, also to callers in other files")

    def _is_method(self, outer: ast.AST) -> bool:
        return isinstance(outer, ast.ClassDef)

    def _is_program(self) -> bool:
        """Return whether the module runs something itself, so that others hardly import it.

        Calls that set something up, such as `load_dotenv()`, are in modules for others, too.
        """
        return any(
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and last_name(node.value.func) not in _SETUPS
            for node in self.source.tree.body
        ) or 'if __name__ == "__main__"' in self.source.text.replace("'", '"')

    def _attribute(self, node: ast.expr, parent: ast.Attribute, attr: str) -> None:
        if not isinstance(parent.ctx, ast.Load):
            self.plan.by_hand(
                *(parent, "TC301", f"`.{attr}` is assigned"),
                "keep the text in a variable; content blocks are not replaced",
            )
            return
        outer = self.source.parents[parent]
        if attr == "get" and isinstance(outer, ast.Call) and outer.func is parent and outer.args:
            key = outer.args[0]
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self._field(node, outer, key.value)
                return
        if attr in _SAME:
            return
        self._field(node, parent, attr)

    def _field(self, node: ast.expr, whole: ast.expr, name: str) -> None:
        """Rewrite the reading of one field.

        Args:
            node: The result.
            whole: The expression that reads the field.
            name: The field.
        """
        if not self.source.is_exact(whole):
            self.plan.by_hand(
                *(whole, "TC301", "the place is inside of an f-string that cannot be edited"),
                "assign the text to a variable first",
            )
        elif name == "completion":
            self._text(node, whole)
        elif name == "stop_reason":
            self._stop_reason(node, whole)
        elif name in _RENAMED:
            self._access(node, whole, _RENAMED[name])
            if name == "stop":
                self._note_stop(whole)
        elif name in _SAME:
            self._access(node, whole, name)
        else:
            self.plan.review(
                *(whole, "TC301", f"`{name}` of the result has no replacement here"),
                "the result is a `Message`: id, model, content, stop_reason, stop_sequence, usage",
            )

    def _note_stop(self, whole: ast.expr) -> None:
        """Note that an answer that ends by itself has `stop_sequence` None."""
        outer = self.source.parents[whole]
        sides = [outer.left, *outer.comparators] if isinstance(outer, ast.Compare) else []
        level = Hardness.MECHANICAL
        for side in sides:
            text = side.value if isinstance(side, ast.Constant) else constant_of(side, self.origins)
            if isinstance(text, str) and text.strip() in ("Human:", "Assistant:"):
                level = Hardness.REVIEW
        self.plan.note(
            *(whole, "TC301", level, "`stop` was the mark of a turn after a natural end"),
            "`stop_sequence` is None there, and `stop_reason` is `end_turn`",
        )

    def _text(self, node: ast.expr, whole: ast.expr) -> None:
        outer = self.source.parents[whole]
        if isinstance(outer, ast.Subscript) and outer.value is whole:
            self.plan.review(
                *(outer, "TC301", "the text is sliced, perhaps to remove the space in front of it"),
                "remove the slice: a text of the Messages API has no space in front",
            )
            if isinstance(outer.slice, ast.Slice) and ast.unparse(outer.slice) == "1:":
                self.plan.edits.append(Edit(self.source.end(whole), self.source.end(outer), ""))
        elif (place := self._flow.counts_on_space(whole)) is not None:
            note_space(self.plan, place)
        elif not self._is_program() and (name := self._flow.returned_by(whole)):
            self.plan.note(
                *(whole, "TC301", Hardness.MECHANICAL),
                f"`{name}` returns the text, without a space in front, also to other files",
                'look there for what counts on the space, such as `[1:]` and `== " Yes"`',
            )
        if any(isinstance(each, ast.NamedExpr) for each in ast.walk(node)):
            # Python forbids `:=` in what a comprehension iterates over.
            self.plan.by_hand(
                *(whole, "TC301", "the text is read where `:=` assigns the result"),
                "assign the result in a statement of its own first",
            )
        quote = "'" if self._quote(whole) == '"' else '"'
        start = f"{quote}{quote}.join(block.text for block in "
        end = f".content if block.type == {quote}text{quote})"
        self._wrap(node, whole, start, end)

    def _wrap(self, node: ast.expr, whole: ast.expr, start: str, end: str) -> None:
        """Replace what reads a field of an expression, and keep the expression."""
        first, last = self.source.span(whole)
        low, high = self.source.span(node)
        text = self.source.text
        if text[first:low].strip() == "(":
            # `(await call).completion`: the brackets stay around the expression.
            low, high = first, text.index(")", high) + 1
        self.plan.edits += [Edit(first, low, start), Edit(high, last, end)]

    def _access(self, node: ast.expr, whole: ast.expr, name: str) -> None:
        self._wrap(node, whole, "", f".{name}")

    def _stop_reason(self, node: ast.expr, whole: ast.expr) -> None:
        outer = self.source.parents[whole]
        match outer:
            case ast.Compare(
                left=left,
                ops=[ast.Eq() | ast.NotEq() as op],
                comparators=[ast.Constant(value=value)],
            ) if left is whole and value in _ENDS:
                self._access(node, whole, "stop_reason")
                if value == "stop_sequence":
                    quote = "'" if self._quote(whole) == '"' else '"'
                    word = "in" if isinstance(op, ast.Eq) else "not in"
                    ends = f"{quote}end_turn{quote}, {quote}stop_sequence{quote}"
                    start, end = self.source.end(whole), self.source.end(outer)
                    self.plan.edits.append(Edit(start, end, f" {word} ({ends})"))
            case ast.Compare(
                left=left,
                ops=[ast.In() | ast.NotIn()],
                comparators=[ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items)],
            ) if left is whole and items and all(map(_is_end, items)):
                self._access(node, whole, "stop_reason")
                for item in items:
                    if isinstance(item, ast.Constant) and item.value == "stop_sequence":
                        quote = self.source.segment(item)[0]
                        place = self.source.start(item)
                        self.plan.edits.append(Edit(place, place, f"{quote}end_turn{quote}, "))
            case ast.Compare(ops=[ast.Is() | ast.IsNot()]):
                self._access(node, whole, "stop_reason")
            case _:
                self._access(node, whole, "stop_reason")
                self.plan.review(
                    *(whole, "TC301", "`stop_reason` is passed on; its values are others"),
                    "a natural end is `end_turn` instead of `stop_sequence`; `refusal` is new",
                )

    def _quote(self, node: ast.AST) -> str:
        """Return the quote of the f-string around a node, or a single one."""
        quote = "'"
        for outer in self.source.ancestors(node):
            if isinstance(outer, ast.JoinedStr):
                start, end = self.source.span(outer)
                position = self.source.start(node)
                for literal, _ in literals(self.source.text, start, end):
                    if literal.start <= position < literal.end:
                        quote = literal.quote[0]
        return quote


def _is_end(node: ast.expr) -> bool:
    """Return whether a node is a plain literal of an old `stop_reason`, or None."""
    return isinstance(node, ast.Constant) and (node.value in _ENDS or node.value is None)
