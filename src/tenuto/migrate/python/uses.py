"""All uses of the Text Completions API in a Python source, as findings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tenuto.migrate.findings import Finding, Hardness
from tenuto.migrate.python import marks
from tenuto.migrate.python.bedrock_bodies import pending_calls
from tenuto.migrate.python.lost_names import lost_names
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.other_uses import covered_by, other_uses, pending_bodies
from tenuto.migrate.python.plan import Note, Options, Plan
from tenuto.migrate.python.planner import hardness, joint, plans
from tenuto.migrate.python.prompt_texts import level_of, pending, prompts
from tenuto.migrate.python.source import Source, Surroundings

_WRITTEN: Final = {
    Hardness.MECHANICAL: "`tenuto migrate fix --to messages` rewrites it",
    Hardness.REVIEW: "`tenuto migrate fix --to messages --unsafe` rewrites it, with a comment",
    Hardness.BY_HAND: "write `client.messages.create` by hand",
}


def findings(
    text: str, path: str, options: Options | None = None, around: Surroundings | None = None
) -> list[Finding]:
    """Return the findings of a source, in its order.

    Args:
        text: The source.
        path: Its name for the findings.
        options: The rewrite that the findings describe.
        around: What else is known of the source; its path by default.

    Raises:
        SyntaxError: The source cannot be parsed.
    """
    source = Source(text, around or Surroundings(path))
    origins = Origins(source)
    groups = joint(plans(origins, options or Options()))
    calls = [plan.call.node for group in groups for plan in group]
    notes = list(_notes(origins, groups, calls))
    if (level := level_of(notes)) is not None:
        notes += prompts(source, level, notes, covered_by(origins, calls))
    found: dict[tuple[int, int, str], Note] = {}
    lines_of_prompts: set[int] = set()
    for note in notes:
        if not marks.is_ignored(source, note.node):
            # The first one is that of the call itself.
            place = note.place(source)
            if note.code == "TC104":
                if place[0] in lines_of_prompts:
                    continue
                lines_of_prompts.add(place[0])
            found.setdefault((*place, note.code), note)
    return sorted(
        Finding(path, 0, line, column, code, note.hardness, note.message, note.remedy)
        for (line, column, code), note in found.items()
    )


def pending_uses(text: str, path: str) -> list[Finding]:
    """Return what counts in a source without a use if its project has one.

    That are prompts, calls on Bedrock of old models or whose old answer is read, and bodies in
    files that do not name the vendor.

    Raises:
        SyntaxError: The source cannot be parsed.
    """
    source = Source(text, Surroundings(path))
    found = []
    calls = pending_calls(Origins(source)) if "invoke_model" in text else ()
    for note in (*pending(source), *calls, *pending_bodies(source)):
        if not marks.is_ignored(source, note.node):
            line, column = note.place(source)
            found.append(
                Finding(path, 0, line, column, note.code, note.hardness, note.message, note.remedy)
            )
    return found


def _notes(origins: Origins, groups: list[list[Plan]], calls: list[ast.Call]) -> Iterator[Note]:
    for group in groups:
        for plan in group:
            yield _of_call(plan, hardness(group))
            yield from plan.notes
    yield from lost_names(origins, calls)
    yield from other_uses(origins, calls)


def _of_call(plan: Plan, level: Hardness) -> Note:
    call = plan.call
    code = "TC102" if call.early else "TC101"
    obstacles = [note.message for note in plan.notes if note.hardness is not Hardness.MECHANICAL]
    reason = f": {obstacles[0]}" if obstacles else ""
    message = f"call of the Text Completions API{reason}"
    return Note(call.node, code, level, message, _WRITTEN[level])
