"""Marks of turns in texts."""

from __future__ import annotations

import pytest

from tenuto.migrate import turns


@pytest.mark.parametrize(
    ("text", "mark", "exact"),
    [
        ("\n\nHuman: x", True, True),
        ("\n\nHuman: x\n\nAssistant:", True, True),
        ("Context\n\nHuman: x\n  \n  Assistant:", True, True),
        ("Context\n\nHuman: x", True, False),
        ("\n    Human: x\n    Assistant:\n", True, False),
        ("{HUMAN_PROMPT} x{AI_PROMPT}", True, True),
        ("Human: x\nAI:", False, False),
        ("### Human: x\n### Assistant:", False, False),
        ("\nHuman: x", False, False),
        ("It has to begin with '\n\nHuman:' and end with '\n\nAssistant:'.", False, False),
        ("The Human: and the\nAssistant:", False, False),
    ],
)
def test_marks_of_a_text(text: str, mark: bool, exact: bool) -> None:
    assert (turns.has_mark(text), turns.is_exact(text)) == (mark, exact)


def test_escapes_of_any_depth_are_line_ends() -> None:
    assert turns.is_exact(turns.plain(r"\\r\\n\\r\\nHuman: x\n\nAssistant:"))


def test_margin_of_a_text_of_several_lines_is_taken_away() -> None:
    assert turns.is_exact(turns.plain("|\n    |\n    |Human: x\n    |\n    |Assistant:"))


def test_parts_of_a_prompt_begin_with_both_marks() -> None:
    parts = ["Human: {text}", "Assistant:"]

    assert turns.are_parts(parts)
    assert not turns.are_parts(["Human: {text}", "Human: {more}"])
    assert [turns.has_part(each) for each in parts] == [True, False]


def test_mark_alone_is_known() -> None:
    assert turns.is_alone("\n\nHuman:")
    assert not turns.is_alone("\n\nHuman: hello")
