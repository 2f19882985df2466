"""Comments for people: `# tenuto-migrate: TODO[code] …` and `# tenuto-migrate: ignore`."""

from __future__ import annotations

import ast
import re
from typing import Final

from tenuto.migrate.findings import Hardness
from tenuto.migrate.python.plan import Plan
from tenuto.migrate.python.source import Edit, Source

TODO: Final = re.compile(r"#\s*tenuto-migrate:\s*TODO\[(TC\d+)\]")
_IGNORE: Final = re.compile(r"#\s*tenuto-migrate:\s*ignore\b")


def is_ignored(source: Source, node: ast.AST) -> bool:
    """Return whether a comment excludes a node: on its lines, or on the line above."""
    statement = source.statement(node)
    start = source.line_start(max(1, statement.lineno - 1))
    end = source.line_start((statement.end_lineno or statement.lineno) + 1)
    if isinstance(
        statement, ast.For | ast.AsyncFor | ast.With | ast.AsyncWith | ast.If | ast.While
    ):
        end = source.line_start(statement.body[0].lineno)
    return _IGNORE.search(source.text[start:end]) is not None


def comments(source: Source, plans: list[Plan]) -> list[Edit]:
    """Return the comments above the statements that need a look."""
    found: dict[tuple[int, str], Edit] = {}
    for plan in plans:
        for note in plan.notes:
            if note.hardness is not Hardness.REVIEW:
                continue
            statement = source.statement(note.node)
            start = source.line_start(statement.lineno)
            deeper = {e.text for e in plan.edits if e.start == e.end == start and e.text.isspace()}
            indent = "".join(deeper) + source.indent(statement)
            line = f"{indent}# tenuto-migrate: TODO[{note.code}] {note.message}: {note.remedy}"
            found.setdefault((start, line), Edit(start, start, line + source.newline))
    return list(found.values())
