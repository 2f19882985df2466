"""A parsed source, with exact places of its nodes."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

Span = tuple[int, int]
"""Offsets of a part of a source, in characters."""


@dataclass(frozen=True)
class Edit:
    """The replacement of a span by a text."""

    start: int
    end: int
    text: str


def parse(text: str) -> ast.Module:
    """Parse a source, without its warnings.

    Raises:
        SyntaxError: It cannot be parsed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error)) from None


@dataclass(frozen=True)
class Surroundings:
    """The path of a source, and the modules of its project.

    Attributes:
        path: Its name, or "".
        is_own: Whether a module that it imports is one of its project.
    """

    path: str = ""
    is_own: Callable[[str], bool] = lambda module: False


def compiles(text: str) -> bool:
    """Return whether Python compiles a source, which it may not do though it can be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            # Notebooks may await anywhere.
            compile(text, "source", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


class Source:
    """A Python source, parsed.

    Args:
        text: The source.
        around: What else is known of it.

    Raises:
        SyntaxError: It cannot be parsed.
    """

    def __init__(self, text: str, around: Surroundings | None = None) -> None:
        self.text = text
        self.around = around or Surroundings()
        self.tree = parse(text)
        self._starts = _line_starts(text)
        self.parents: dict[ast.AST, ast.AST] = {
            child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)
        }

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes, breadth first."""
        return list(ast.walk(self.tree))

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line and a column in bytes, as nodes have them."""
        start = self._starts[line - 1]
        if column == 0:
            return start
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        text = self.text[start:end]
        if text.isascii():
            return start + column
        return start + len(text.encode("utf-8")[:column].decode("utf-8", "ignore"))

    def start(self, node: ast.AST) -> int:
        """Return the offset of a node's first character."""
        return self.offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Return the offset after a node's last character."""
        return self.offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def span(self, node: ast.AST) -> Span:
        """Return the offsets of a node."""
        return self.start(node), self.end(node)

    def segment(self, node: ast.AST) -> str:
        """Return the source of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line and the column of an offset, both from 1."""
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return low + 1, offset - self._starts[low] + 1

    def line_start(self, line: int) -> int:
        """Return the offset of a line's first character."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def indent(self, node: ast.AST) -> str:
        """Return the white space before the statement of a node."""
        statement = self.statement(node)
        start = self.line_start(statement.lineno)
        text = self.text[start : self.start(statement)]
        return text[: len(text) - len(text.lstrip())]

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement that contains a node."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def function(self, node: ast.AST) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return the innermost function that a node is in, or None for the module."""
        for parent in self.ancestors(node):
            if isinstance(parent, ast.FunctionDef | ast.AsyncFunctionDef):
                return parent
        return None

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parent of a node, its parent, and so on."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def is_exact(self, node: ast.expr) -> bool:
        """Return whether the place of a node is right; Python 3.11 errs in some f-strings."""
        try:
            start, end = self.span(node)
            statement = parse(f"({self.text[start:end]}\n)").body[0]
        except (SyntaxError, IndexError):
            return False
        again = statement.value if isinstance(statement, ast.Expr) else node
        return _shape(again) == _shape(node)

    @property
    def newline(self) -> str:
        """The line end of the source."""
        return "\r\n" if "\r\n" in self.text else "\n"


def _line_starts(text: str) -> list[int]:
    starts = [0]
    position = 0
    while True:
        feed, carriage = text.find("\n", position), text.find("\r", position)
        if feed < 0 and carriage < 0:
            return starts
        first = min(x for x in (feed, carriage) if x >= 0)
        position = first + (2 if text.startswith("\r\n", first) else 1)
        starts.append(position)


def apply(text: str, edits: list[Edit]) -> str:
    """Return a text with edits that do not overlap.

    Raises:
        ValueError: Two edits overlap.
    """
    parts = []
    position = 0
    for edit in sorted(edits, key=_order):
        if edit.start < position:
            raise ValueError("edits overlap")
        parts += [text[position : edit.start], edit.text]
        position = edit.end
    return "".join([*parts, text[position:]])


def _order(edit: Edit) -> tuple[int, int, int]:
    """Sort insertions of one place: whole lines, then white space, then the rest."""
    rank = 0 if edit.text.endswith("\n") else 1 if edit.text.isspace() else 2
    return edit.start, edit.end, rank


def _shape(node: ast.expr) -> str:
    """Return a text that is the same for equal expressions, read or assigned."""
    return ast.dump(node).replace("ctx=Store()", "ctx=Load()")
