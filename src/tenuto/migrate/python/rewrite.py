"""Python source -> the same program for the Messages API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python import marks
from tenuto.migrate.python.calls import calls
from tenuto.migrate.python.httpx_objects import httpx_left
from tenuto.migrate.python.imports import tidy
from tenuto.migrate.python.lost_names import lost_names
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.other_uses import other_uses
from tenuto.migrate.python.plan import Note, Options, Plan
from tenuto.migrate.python.planner import hardness, joint, plans
from tenuto.migrate.python.source import Edit, Source, Surroundings, apply, compiles, parse

# A round rewrites all calls except those in the arguments of others.
_MOST_ROUNDS = 20


@dataclass
class Rewritten:
    """The result of a rewrite.

    Attributes:
        text: The source; unchanged if nothing could be rewritten.
        calls: The number of calls that were rewritten.
        left: Notes on calls that stay as they are.
        lost: Notes on what the rewritten calls lack, with lines of the source before.
    """

    text: str
    calls: int = 0
    left: list[tuple[Source, Note]] = field(default_factory=list)
    lost: list[tuple[Source, Note]] = field(default_factory=list)


def to_messages_api(
    text: str, options: Options, *, unsafe: bool = False, around: Surroundings | None = None
) -> Rewritten:
    """Rewrite all calls of the Text Completions API for which that is certain.

    Args:
        text: The source.
        options: Choices.
        unsafe: Whether to rewrite calls that need a look as well, with a comment at each.
        around: What is known of the source besides its text.

    Raises:
        SyntaxError: The source cannot be parsed.
    """
    result = Rewritten(text)
    helper = False
    for _ in range(_MOST_ROUNDS):
        origins = Origins(Source(result.text))
        ready, blocked = _sorted_out(plans(origins, options), origins, unsafe=unsafe)
        result.left = [(origins.source, note) for plan in blocked for note in _obstacles(plan)]
        taken = _without_overlaps(ready)
        new = _applied(origins.source, taken) if taken else None
        if new is None:
            result.left += [
                (origins.source, _not_written(plan)) for group in ready for plan in group
            ]
            break
        helper = helper or any(plan.needs_helper for group in taken for plan in group)
        result.calls += sum(len(group) for group in taken)
        result.lost += [(origins.source, note) for g in taken for plan in g for note in plan.notes]
        result.text = new
    result.text = tidy(
        *(text, result.text),
        helper=helper,
        module=options.helper,
        counts_for=options.model if unsafe else "",
    )
    origins = Origins(Source(result.text, around))
    result.left += _others_left(origins)
    if result.calls and not any(True for _ in calls(origins)):
        result.left += [(origins.source, note) for note in httpx_left(origins)]
    return result


def _others_left(origins: Origins) -> Iterator[tuple[Source, Note]]:
    """Yield the notes on uses that are no calls: names, HTTP requests, frameworks, test doubles."""
    left = [call.node for call in calls(origins)]
    notes = [note for note in lost_names(origins, left) if note.code != "TC104"]
    for note in [*notes, *other_uses(origins, left)]:
        if not marks.is_ignored(origins.source, note.node):
            yield origins.source, note


def _sorted_out(
    every: list[Plan], origins: Origins, *, unsafe: bool
) -> tuple[list[list[Plan]], list[Plan]]:
    """Return the groups that are rewritten, and the plans of the others."""
    ready, blocked = [], []
    for group in joint(every):
        level = hardness(group)
        ignored = any(marks.is_ignored(origins.source, plan.call.node) for plan in group)
        if ignored:
            continue
        if level is Hardness.MECHANICAL or (unsafe and level is Hardness.REVIEW):
            ready.append(group)
        else:
            blocked += group
    return ready, blocked


def _obstacles(plan: Plan) -> list[Note]:
    return [note for note in plan.notes if note.hardness is not Hardness.MECHANICAL]


def _not_written(plan: Plan) -> Note:
    """Return the note on a call whose edits give no Python, as within some f-strings."""
    return Note(
        *(plan.call.node, "TC101", Hardness.BY_HAND, "the rewritten call would not be Python"),
        "assign the call, or its arguments, to a variable of its own first",
    )


def _without_overlaps(groups: list[list[Plan]]) -> list[list[Plan]]:
    """Return the groups whose edits are apart; an outer call waits for those inside of it."""
    taken: list[list[Plan]] = []
    edits: list[Edit] = []
    for group in sorted(groups, key=lambda g: -max(p.call.node.lineno for p in g)):
        own = _edits(group)
        if not any(_overlap(a, b) for a in own for b in edits):
            taken.append(group)
            edits += own
    return taken


def _edits(group: list[Plan]) -> list[Edit]:
    return list(dict.fromkeys(edit for plan in group for edit in plan.edits))


def _overlap(a: Edit, b: Edit) -> bool:
    if a == b:
        return a.start == a.end
    if a.start == a.end or b.start == b.end:
        return a.start < b.start < a.end or b.start < a.start < b.end
    return a.start < b.end and b.start < a.end


def _applied(source: Source, groups: list[list[Plan]]) -> str | None:
    """Return the source with the edits of as many groups as the parser accepts."""
    for chosen in (groups, *([group] for group in groups)):
        edits = marks.comments(source, [plan for group in chosen for plan in group])
        edits += list(dict.fromkeys(edit for group in chosen for edit in _edits(group)))
        try:
            new = apply(source.text, edits)
            parse(new)
        except (ValueError, SyntaxError):
            continue
        if not compiles(new) and compiles(source.text):
            continue
        if chosen is not groups:
            groups[:] = chosen
        return new
    groups.clear()
    return None
