"""The plan of a rewrite: edits that belong together, and the reasons against them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Literal

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.calls import ApiCall
from tenuto.migrate.python.source import Edit, Source


@dataclass(frozen=True)
class Options:
    """Choices of a rewrite to the Messages API.

    Attributes:
        model: The model that replaces a literal name.
        sdk: Major version of the SDK that the result needs.
        keep_sampling: Whether `temperature`, `top_p` and `top_k` go to `extra_body`.
        prefill: Whether the model accepts a prefill.
        sampling: Whether the model accepts sampling parameters.
        most_tokens: The model's highest `max_tokens`.
        helper: The module that has `to_messages`.
    """

    model: str = "claude-haiku-4-5"
    sdk: Literal[1, 2] = 2
    keep_sampling: bool = False
    prefill: bool = True
    sampling: bool = True
    most_tokens: int = 64_000
    helper: str = "tenuto.migrate"


@dataclass(frozen=True)
class Note:
    """A remark on a place, which becomes a finding.

    Attributes:
        node: The place.
        code: See `findings.TITLES`.
        hardness: Of `MECHANICAL`, the note is no obstacle.
        message: The reason.
        remedy: The replacement.
        offset: The offset of the place, if it is within a long node.
    """

    node: ast.AST
    code: str
    hardness: Hardness
    message: str
    remedy: str
    offset: int | None = None

    def place(self, source: Source) -> tuple[int, int]:
        """Return the line and the column."""
        return source.place(source.start(self.node) if self.offset is None else self.offset)


@dataclass(eq=False)
class Plan:
    """The rewrite of a call.

    Attributes:
        call: The call.
        edits: The edits of the call and of all that uses its result.
        notes: Obstacles, and what is lost.
        needs_helper: Whether the result calls `to_messages`.
        partners: Calls whose results reach the same places: all are rewritten, or none.
    """

    call: ApiCall
    edits: list[Edit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    needs_helper: bool = False
    partners: set[ast.Call] = field(default_factory=set)

    def note(self, node: ast.AST, code: str, hardness: Hardness, message: str, remedy: str) -> None:
        """Add a note."""
        self.notes.append(Note(node, code, hardness, message, remedy))

    def review(self, node: ast.AST, code: str, message: str, remedy: str) -> None:
        """Add an obstacle that `--unsafe` passes."""
        self.note(node, code, Hardness.REVIEW, message, remedy)

    def by_hand(self, node: ast.AST, code: str, message: str, remedy: str) -> None:
        """Add an obstacle that only a person can pass."""
        self.note(node, code, Hardness.BY_HAND, message, remedy)

    @property
    def hardness(self) -> Hardness:
        """The highest of all notes."""
        levels = {note.hardness for note in self.notes}
        for level in (Hardness.BY_HAND, Hardness.REVIEW):
            if level in levels:
                return level
        return Hardness.MECHANICAL
