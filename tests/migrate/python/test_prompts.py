from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.prompt import ASSISTANT, HUMAN
from tenuto.migrate import PromptError, to_messages
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.prompts import Shape, VisiblePrompt, take_apart
from tenuto.migrate.python.source import Source

PIECES = st.sampled_from(
    [HUMAN, ASSISTANT, " ", "\n", "\n\n", "Human:", "hello", "'", '"', "{", "\\", "Assistant:", "é"]
)


def taken_apart(source: str) -> VisiblePrompt:
    origins = Origins(Source(f"import anthropic\nprompt = {source}\n"))
    statement = origins.source.tree.body[-1]
    assert isinstance(statement, ast.Assign)
    return take_apart(statement.value, origins)


@given(st.lists(PIECES, max_size=10))
def test_visible_turns_are_those_of_the_server(pieces: list[str]) -> None:
    text = "".join(pieces)
    visible = taken_apart(repr(text))

    try:
        expected = to_messages(text)
    except PromptError:
        # Refused by the service: never rewritten without a look.
        assert visible.shape is not Shape.TURNS
        return
    if visible.shape is not Shape.HIDDEN:
        assert visible.shape is Shape.TURNS
        messages = [(role, ast.literal_eval(content)) for role, content in visible.messages]
        assert messages == [(m["role"], m["content"].strip()) for m in expected["messages"]]
        system = ast.literal_eval(visible.system) if visible.system else ""
        assert system == expected.get("system", "")
        assert visible.prefill == (messages[-1][0] == "assistant")


def test_usual_prompts_are_visible() -> None:
    assert taken_apart(r'"Rules.\n\nHuman: Hi\n\nAssistant: {"') == VisiblePrompt(
        Shape.TURNS, '"Rules."', [("user", '"Hi"'), ("assistant", '"{"')], prefill=True
    )


def test_prefill_that_ends_with_a_hole_is_taken_apart_at_run_time() -> None:
    # It may be blank, or end with white space, which the Messages API refuses.
    assert taken_apart(r'f"\n\nHuman: Hi\n\nAssistant: {text} "') == VisiblePrompt(
        Shape.HIDDEN, prefill=True
    )
    assert taken_apart(r'f"\n\nHuman: Hi\n\nAssistant: {n}."').shape is Shape.TURNS


@pytest.mark.parametrize(
    ("source", "content"),
    [
        (r'f"\n\nHuman: {q}\n\nAssistant:"', 'f"{q}"'),
        (r'rf"a" f"\n\nHuman: {q!r:>4} \n\nAssistant:"', None),
        (r'"\n\nHuman: " + q + "\n\nAssistant:"', "q"),
        (r'"\n\nHuman: a " + q + ".\n\nAssistant:"', '"a " + q + "."'),
        (r'f"{anthropic.HUMAN_PROMPT} {{{q}}}{anthropic.AI_PROMPT}"', 'f"{{{q}}}"'),
        ('"""\n\nHuman: say "hi"\n\nAssistant:"""', '"""say "hi\\""""'),
        (r"'\n\nHuman: it\'s\n\nAssistant:'", r"'it\'s'"),
        (r'(f"\n\nHuman: a {q}" " b" "\n\nAssistant:")', 'f"a {q}" " b"'),
    ],
)
def test_content_is_a_piece_of_the_source(source: str, content: str | None) -> None:
    prompt = taken_apart(source)

    if content is not None:
        assert prompt.messages == [("user", content)]
    else:
        assert prompt.system == 'r"a"'


@pytest.mark.parametrize(
    "source",
    [
        'f"{history}\\n\\nHuman: a\\n\\nAssistant:"',
        'f"\\n\\nHuman: {chat_log}\\n\\nAssistant:"',
        'f"{start}{q}{end}"',
        '"\\n\\nHuman: %s\\n\\nAssistant:" % q',
        "template.format(q)",
        '"\\n\\nHuman: a\\n\\nHuman: b\\n\\nAssistant:"',
        'f"\\n\\nHuman: a {end}"',
    ],
)
def test_turns_that_may_hide_in_a_hole_are_left_to_the_run_time(source: str) -> None:
    assert taken_apart(source).shape is Shape.HIDDEN
