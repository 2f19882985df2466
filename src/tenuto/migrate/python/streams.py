"""Streams that a loop consumes -> `with client.messages.stream(…)`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final

from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Plan
from tenuto.migrate.python.readings import (
    LOOPS,
    Loop,
    Reading,
    is_first_of_its_statement,
    reading_of,
)
from tenuto.migrate.python.results import note_space, occurrences
from tenuto.migrate.python.source import Edit, apply
from tenuto.migrate.python.text_flow import TextFlow

_NAMES: Final = ("stream", "message_stream", "answer_stream")
_TOTALS: Final = ("answer", "answer_so_far", "whole_answer")
_REMEDY: Final = "`with client.messages.stream(…) as stream: for text in stream.text_stream: …`"


class StreamReader:
    """Rewrite the loop over a stream for one plan."""

    def __init__(self, plan: Plan, origins: Origins) -> None:
        self.plan = plan
        self.origins = origins
        self.source = origins.source
        self._flow = TextFlow(origins)

    def follow(self) -> None:
        """Add the edits of the loop, or an obstacle."""
        whole = self._awaited(self.plan.call.node)
        parent = self.source.parents[whole]
        reading = reading_of(whole, self.source)
        if isinstance(parent, LOOPS) and parent.iter is whole:
            self._loop_over_call(parent, whole)
        elif reading is not None:
            self._reading_of_call(reading, whole)
        elif isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            self._loop_over_variable(parent, parent.targets[0], whole)
        elif isinstance(parent, ast.withitem) and isinstance(parent.optional_vars, ast.Name):
            self._loop_in_context(parent.optional_vars)
        else:
            self._stop(whole, "the stream is not read where it is made")

    def _awaited(self, node: ast.expr) -> ast.expr:
        parent = self.source.parents[node]
        return parent if isinstance(parent, ast.Await) else node

    def _stop(self, node: ast.AST, message: str) -> None:
        self.plan.by_hand(node, "TC302", message, _REMEDY)

    def _loop_over_call(self, loop: Loop, whole: ast.expr) -> None:
        if not self._elements(Reading(loop, whole, loop.target)):
            return
        call = self.plan.call.node
        word = "async with " if self.plan.call.asynchronous else "with "
        start, end = self.source.start(loop), self.source.end(whole)
        header = re.compile(r"[\s)]*:").match(self.source.text, end)
        if header is None or ")" in header[0]:
            self._stop(loop, "the loop has an unusual form")
            return
        stream, indent = self._free(_NAMES, loop), self.source.indent(loop)
        step, newline = self._step(loop), self.source.newline
        target = self.source.segment(loop.target)
        loop_word = "async for" if self.plan.call.asynchronous else "for"
        inner = indent + step
        lines = [f" as {stream}:"]
        total = self._total(loop)
        if total:
            lines.append(f'{inner}{total} = ""')
        lines.append(f"{inner}{loop_word} {target} in {stream}.text_stream:")
        if total:
            lines.append(f"{inner}{step}{total} += {target}")
        self.plan.edits += [
            Edit(start, self.source.start(call), word),
            Edit(end, header.end(), newline.join(lines)),
        ]
        self._indent(self.source.place(header.end())[0] + 1, _last_line(loop), step, loop)

    def _reading_of_call(self, reading: Reading, whole: ast.expr) -> None:
        """Move the call in front of the statement that reads it."""
        if reading.comprehension is None:
            # A loop over `enumerate(call)`, which makes the stream first.
            start = self.source.line_start(reading.statement.lineno)
            line = self.source.text[start : self.source.start(reading.statement)]
            first = not (line.strip() or self.plan.call.early)
        else:
            first = is_first_of_its_statement(reading, self.source)
        if not first:
            self._stop(whole, "the statement does something before it makes the stream")
            return
        if not self._elements(reading):
            return
        call, statement = self.plan.call.node, reading.statement
        start, end = self.source.span(call)
        inside = [e for e in self.plan.edits if start <= e.start and e.end <= end]
        moved = apply(
            self.source.text[start:end],
            [Edit(e.start - start, e.end - start, e.text) for e in inside],
        )
        word = "async with " if self.plan.call.asynchronous else "with "
        name, step = self._free(_NAMES, statement), self._step_of(statement)
        newline, indent = self.source.newline, self.source.indent(statement)
        place = self.source.start(statement)
        header = f"{word}{moved} as {name}:{newline}{indent}{step}"
        self.plan.edits = [
            *(e for e in self.plan.edits if e not in inside),
            Edit(place, place, header),
            Edit(*self.source.span(whole), f"{name}.text_stream"),
        ]
        within = set(range(call.lineno + 1, (call.end_lineno or 0) + 1))
        self._indent(statement.lineno + 1, _last_line(statement), step, statement, but=within)

    def _loop_over_variable(self, statement: ast.Assign, target: ast.expr, whole: ast.expr) -> None:
        loop = self._only_reading(target)
        last = self._around(loop.statement, statement) if loop is not None else None
        if loop is None or last is None:
            self._stop(whole, "the stream is not read by one loop of the same block")
            return
        if not self._elements(loop):
            return
        assert isinstance(target, ast.Name)
        if self.source.end(whole) != self.source.end(statement):
            self._stop(whole, "the assignment has an unusual form")
            return
        word = "async with " if self.plan.call.asynchronous else "with "
        call = self.plan.call.node
        end = self.source.end(whole)
        step = self._step_of(loop.statement)
        self.plan.edits += [
            Edit(self.source.start(statement), self.source.start(call), word),
            Edit(end, end, f" as {target.id}:"),
            *self._over_text(loop),
        ]
        if (total := self._total(loop.statement)) and isinstance(loop.statement, LOOPS):
            self._start_total(total, loop.statement, step)
        self._indent(_last_line(statement) + 1, _last_line(last), step, last, statement)

    def _loop_in_context(self, variable: ast.Name) -> None:
        loop = self._only_reading(variable)
        if loop is None:
            self._stop(variable, "the stream is not read by one loop")
        elif self._elements(loop):
            self.plan.edits += self._over_text(loop)

    def _over_text(self, reading: Reading) -> list[Edit]:
        end = self.source.end(reading.stream)
        return [Edit(end, end, ".text_stream")]

    def _start_total(self, total: str, loop: Loop, step: str) -> None:
        """Add the lines that collect the text of a stream whose events had all of it."""
        newline, indent = self.source.newline, self.source.indent(loop)
        start = self.source.line_start(loop.lineno)
        self.plan.edits.append(Edit(start, start, f'{indent}{step}{total} = ""{newline}'))
        first = loop.body[0]
        place = self.source.line_start(first.lineno)
        inner = self.source.indent(first)
        line = f"{inner}{step}{total} += {self.source.segment(loop.target)}{newline}"
        self.plan.edits.append(Edit(place, place, line))

    def _only_reading(self, variable: ast.expr) -> Reading | None:
        """Return the place that reads a variable, if nothing else uses it."""
        if not isinstance(variable, ast.Name):
            return None
        scopes = self.origins.scopes
        bindings = scopes.all_bindings(variable.id, variable)
        loads = scopes.loads(variable.id, variable)
        if len(bindings) != 1 or len(loads) != 1:
            return None
        return reading_of(loads[0], self.source)

    def _around(self, loop: ast.stmt, statement: ast.stmt) -> ast.stmt | None:
        """Return the statement behind another one in its block that is, or contains, the loop."""
        block: list[ast.stmt] = []
        for _, value in ast.iter_fields(self.source.parents[statement]):
            if isinstance(value, list) and statement in value:
                block = value[value.index(statement) :]
        node: ast.AST = loop
        while node not in block:
            node = self.source.parents[node]
            if not isinstance(node, ast.Try | ast.If | ast.With | ast.AsyncWith):
                return None
        return node if isinstance(node, ast.stmt) else None

    def _elements(self, reading: Reading) -> bool:
        """Rewrite what is read of the events; return False after an obstacle."""
        loop = reading.statement
        if not isinstance(reading.element, ast.Name):
            self._stop(reading.element, "the loop has an unusual form")
            return False
        call = self.plan.call
        total = self._total(loop)
        found = self._events(reading.element)
        for node in found:
            parent = self.source.parents[node]
            place = self._text_of(node, parent)
            if place is None:
                self._stop(node, "more than the text of the events is read")
                return False
            if not self.source.is_exact(place):
                self._stop(node, "the place is inside of an f-string that cannot be edited")
                return False
            if not call.early and (use := self._flow.counts_on_space(place)) is not None:
                note_space(self.plan, use)
            start, end = self.source.span(node)
            first, last = self.source.span(place)
            self.plan.edits += [Edit(first, start, ""), Edit(end, last, "")]
            if total:
                self.plan.edits[-2:] = [Edit(first, last, total)]
        if any(self._loads_after(loop, node) for node in found):
            self._stop(loop, "the last event is read after the loop")
            return False
        if call.early:
            if not isinstance(loop, LOOPS) or loop.body[0].lineno == loop.lineno:
                self._stop(loop, "the loop has one line")
                return False
            self.plan.review(
                *(loop, "TC302", "each event of the old stream had the whole text so far"),
                "where the loop removes the text that it has seen, use the new text alone",
            )
        return True

    def _events(self, element: ast.Name) -> list[ast.expr]:
        """Return the places that read the variable of an event, or what it was assigned to."""
        found = list(occurrences(self.origins, self.plan.call.node, "()[*]"))
        loads = self.origins.scopes.loads(element.id, element)
        return [*found, *(load for load in loads if load not in found)]

    def _loads_after(self, loop: ast.stmt, node: ast.expr) -> bool:
        return self.source.start(node) >= self.source.end(loop)

    def _total(self, loop: ast.stmt) -> str:
        """Return the name of the variable for the whole text; "" if events have new text."""
        return self._free(_TOTALS, loop) if self.plan.call.early else ""

    def _text_of(self, node: ast.expr, parent: ast.AST) -> ast.expr | None:
        """Return the expression that reads the text of an event."""
        match parent:
            case ast.Attribute(attr="completion", ctx=ast.Load()):
                return parent
            case ast.Subscript(slice=ast.Constant(value="completion"), ctx=ast.Load()):
                return parent
            case ast.Attribute(attr="get"):
                outer = self.source.parents[parent]
                if isinstance(outer, ast.Call) and outer.args:
                    key = outer.args[0]
                    if isinstance(key, ast.Constant) and key.value == "completion":
                        return outer
            case ast.Call(
                func=ast.Name(id="getattr"), args=[first, ast.Constant(value="completion"), *_]
            ):
                return parent if first is node else None
            case _:
                pass
        return None

    def _free(self, names: tuple[str, ...], node: ast.AST) -> str:
        """Return a name that the source does not use."""
        used = {n.id for n in self.source.nodes if isinstance(n, ast.Name)}
        used |= {n.arg for n in self.source.nodes if isinstance(n, ast.arg)}
        return next((name for name in names if name not in used), f"{names[0]}_{node.lineno}")  # type: ignore[attr-defined]

    def _step(self, loop: Loop) -> str:
        """Return the white space of one more level."""
        outer, inner = self.source.indent(loop), self.source.indent(loop.body[0])
        return inner[len(outer) :] or "    "

    def _step_of(self, statement: ast.stmt) -> str:
        """Return the white space of one more level at any statement."""
        if isinstance(statement, LOOPS):
            return self._step(statement)
        first = re.search(r"^[ \t]+(?=\S)", self.source.text, re.MULTILINE)
        indented = self.source.indent(statement)
        return "\t" if (indented or (first[0] if first else "")).startswith("\t") else "    "

    def _indent(
        self, first: int, last: int, step: str, *statements: ast.stmt, but: Iterable[int] = ()
    ) -> None:
        inside = self._inside_strings(*statements) | set(but)
        for line in range(first, last + 1):
            start = self.source.line_start(line)
            rest = self.source.text[start : start + 1]
            if line not in inside and rest not in ("", "\n", "\r"):
                self.plan.edits.append(Edit(start, start, step))

    def _inside_strings(self, *statements: ast.stmt) -> set[int]:
        """Return the lines that begin inside of a string."""
        low = min(statement.lineno for statement in statements)
        high = max(_last_line(statement) for statement in statements)
        found: set[int] = set()
        for node in self.source.nodes:
            if not isinstance(node, ast.JoinedStr | ast.Constant):
                continue
            text = isinstance(node, ast.JoinedStr) or isinstance(node.value, str | bytes)
            if text and low <= node.lineno <= high:
                found.update(range(node.lineno + 1, (node.end_lineno or node.lineno) + 1))
        return found


def _last_line(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno
