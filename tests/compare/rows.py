"""Lines of comparisons for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from tenuto.compare.answer import Answer
from tenuto.compare.comparison import Pair, Purpose, line_of
from tenuto.compare.rows import Run, read_run


def line(
    number: int = 0,
    a: str = "Paris it is.",
    b: str = "Paris it is.",
    *,
    noise: bool = False,
    error: str = "",
    end: str = "turn",
    requested: str = "claude-2",
    prompt: str | None = None,
    warnings: tuple[str, ...] = (),
) -> str:
    """Return the line of a comparison."""
    first = Answer("present", "haiku", a, "turn", None, "", 10.0, 100.0, 9, 0, 3, 0.5)
    name = "present" if noise else "candidate"
    second = Answer(name, "x", b, "" if error else end, None, error, 5.0, 50.0, 9, 0, 4, 0.25)
    second.warnings = warnings
    purpose = Purpose.NOISE if noise else Purpose.SHADOW
    at = datetime(2026, 11, 27, 10, tzinfo=UTC).timestamp()
    return line_of(
        Pair(f"req_{number}", at, purpose, requested, first, second, "candidate:x", prompt=prompt)
    )


def run_of(*lines: str) -> Run:
    """Return the comparisons of some lines."""
    return read_run(lines)
