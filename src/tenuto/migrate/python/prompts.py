"""A prompt in a source -> the messages that it becomes, if its turns are visible."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from tenuto.migrate.python.atoms import HOLE, Atom, atoms, rendered
from tenuto.migrate.python.origins import Origins

_MARK: Final = re.compile(r"\n\n(Human|Assistant):")
_OPENING: Final = re.compile(r"\n{0,2}(Human):")
_HISTORY: Final = re.compile(
    r"hist|convers|convo|chat|dialog|transcript|turns|memor|messages|examples|shots", re.IGNORECASE
)
# Text in front of and behind a question, without which a prompt is all holes.
_SHORTEST: Final = 12
_NAME: Final = re.compile(r"\{?\s*([A-Za-z_]\w*)")
_TURN_WORDS: Final = re.compile(r"(?:Human|Assistant):|HUMAN_PROMPT|AI_PROMPT")


class Shape(Enum):
    """Whether the turns of a prompt are visible."""

    TURNS = auto()
    """All turns are visible."""
    HIDDEN = auto()
    """A hole may have turns, which only the run time shows."""
    BARE = auto()
    """The prompt has no turns, which the service refused."""
    UNENDED = auto()
    """The last turn is not the Assistant's, which the service refused."""


@dataclass
class VisiblePrompt:
    """A prompt, taken apart.

    Attributes:
        shape: Whether its turns are visible.
        system: The source of the system text, or "".
        messages: For each message its role and the source of its content.
        prefill: Whether the last message is the beginning of the answer.
    """

    shape: Shape
    system: str = ""
    messages: list[tuple[str, str]] = field(default_factory=list)
    prefill: bool = False


def take_apart(node: ast.expr, origins: Origins) -> VisiblePrompt:
    """Return the turns of a string expression."""
    try:
        parts = atoms(node, origins)
    except ValueError:
        return VisiblePrompt(Shape.HIDDEN)
    joined = "".join(part.value for part in parts)
    marks = [(m.start(), m.end(), m[1]) for m in _MARK.finditer(joined)]
    opening = _OPENING.match(joined)
    if opening and (not marks or opening.end() < marks[0][1]):
        marks.insert(0, (0, opening.end(), "Human"))
    if not marks:
        visible = joined.replace(HOLE, "").strip()
        hidden = HOLE in joined and (len(visible) < _SHORTEST or _has_turns(parts, node, origins))
        if hidden or "Human:" in visible or "Assistant:" in visible:
            return VisiblePrompt(Shape.HIDDEN)
        text = _content(parts, origins)
        if text is None:
            return VisiblePrompt(Shape.HIDDEN)
        return VisiblePrompt(Shape.BARE, "", [("user", text)])
    if _has_turns(parts, node, origins):
        return VisiblePrompt(Shape.HIDDEN)
    return _of_turns(parts, joined, marks, origins)


def _of_turns(
    parts: list[Atom],
    joined: str,
    marks: list[tuple[int, int, str]],
    origins: Origins,
) -> VisiblePrompt:
    hidden = VisiblePrompt(Shape.HIDDEN)
    first = _between(parts, 0, marks[0][0])
    if first is None or any(part.value == HOLE for part in first) or marks[0][2] != "Human":
        return hidden
    result = VisiblePrompt(Shape.TURNS)
    if _stripped(first):
        system = _content(first, origins)
        if system is None:
            return hidden
        result.system = system
    ends = [mark[0] for mark in marks[1:]] + [len(joined)]
    for (_, start, side), end in zip(marks, ends, strict=True):
        turn = _between(parts, start, end)
        if turn is None:
            return hidden
        if not _stripped(turn):
            continue
        role = "user" if side == "Human" else "assistant"
        if result.messages and result.messages[-1][0] == role:
            return hidden
        content = _content(turn, origins)
        if content is None:
            return hidden
        result.messages.append((role, content))
    if marks[-1][2] != "Assistant":
        if joined.endswith(HOLE):
            return hidden
        result.shape = Shape.UNENDED
    elif result.messages and result.messages[-1][0] == "assistant":
        result.prefill = True
        if joined.rstrip().endswith(HOLE):
            # Only the run time shows the white space at its end, and whether it is blank.
            return VisiblePrompt(Shape.HIDDEN, prefill=True)
    if not result.messages or result.messages[0][0] != "user":
        return hidden
    return result


def _has_turns(parts: list[Atom], node: ast.expr, origins: Origins) -> bool:
    """Return whether the text of a hole has turns, by its name or its assignments."""
    for part in parts:
        if part.value != HOLE:
            continue
        if _HISTORY.search(part.expression):
            return True
        name = _NAME.match(part.expression)
        for binding in origins.scopes.all_bindings(name[1], node) if name else []:
            assigned = binding.kind in ("value", "unknown")
            if assigned and _TURN_WORDS.search(origins.source.segment(binding.statement)):
                return True
    return False


def _between(parts: list[Atom], start: int, end: int) -> list[Atom] | None:
    """Return the atoms of a part of the joined text; None if an atom is only partly in it."""
    found = []
    position = 0
    for part in parts:
        after = position + len(part.value)
        if start <= position and after <= end:
            found.append(part)
        elif position < end and after > start:
            inside = part.value[max(0, start - position) : end - position]
            if inside.strip():
                return None
        position = after
    return found


def _stripped(parts: list[Atom]) -> list[Atom]:
    start, end = 0, len(parts)
    while start < end and parts[start].value.isspace():
        start += 1
    while end > start and parts[end - 1].value.isspace():
        end -= 1
    return parts[start:end]


def _content(parts: list[Atom], origins: Origins) -> str | None:
    stripped = _stripped(parts)
    return rendered(stripped, origins.source.text) if stripped else None
