"""The rules of the Human and Assistant turns: the documented table, real clients, and laws."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from tenuto.core.prompt import ASSISTANT, HUMAN, Prompt, Turn
from tenuto.core.refusal import Kind, Refusal
from tenuto.prompt.turns import human_turn, parse_prompt, raw_prompt
from tests.refusals import refused

MUST_START = 'prompt must start with "\n\nHuman:" turn after an optional system prompt'
MUST_END = 'prompt must end with "\n\nAssistant:" turn'

# Texts that are made of what the rules are about.
prompt_like = st.lists(
    st.sampled_from(
        ["\n", "\n\n", "\r\n", "\r", " ", "Human:", "Assistant:", HUMAN, ASSISTANT, "Hi", ":", "é"]
    ),
    max_size=10,
).map("".join)


def human(text: str) -> Turn:
    return Turn(human=True, text=text)


def assistant(text: str) -> Turn:
    return Turn(human=False, text=text)


def refusal(text: str) -> str:
    with refused(Kind.INVALID) as raised:
        parse_prompt(text)
    return raised.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Hello, world", MUST_START),
        ("Hello, world\n\nAssistant:", MUST_START),
        ("\n\nHuman: Hello, Claude", MUST_END),
        ("\n\nAssistant: Hello, world\n\nHuman: Hello, Claude\n\nAssistant:", MUST_START),
        (
            "\n\nHuman: Hello\n\nAssistant: Hello, world\n\nHuman: How many toes do dogs have?",
            MUST_END,
        ),
        ("\n\nHuman: Hello, Claude \nAssistant:", MUST_END),
        ("System.\n\nAssistant: hi\n\nHuman: Hello\n\nAssistant:", MUST_START),
        # LiteLLM, when it is given a model it takes for one of the Messages API.
        ("[{'role': 'system', 'content': [{'type': 'text', 'text': 'Hi'}]}]", MUST_START),
        ("", MUST_START),
        (" ", MUST_START),
    ],
)
def test_invalid_prompt_is_rejected_with_the_documented_message(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        pytest.param(
            "Human: Hello, Claude\n\nAssistant:",
            Prompt("\n\nHuman: Hello, Claude\n\nAssistant:", turns=(human(" Hello, Claude"),)),
            id="the first two newlines are added",
        ),
        pytest.param(
            "\n\nHuman: Hello, Claude:\n\nAssistant: ",
            Prompt("\n\nHuman: Hello, Claude:\n\nAssistant:", turns=(human(" Hello, Claude:"),)),
            id="the last space is removed",
        ),
        pytest.param(
            "\n\nHuman: a\n\nAssistant: Hello, my name is",
            Prompt(
                "\n\nHuman: a\n\nAssistant: Hello, my name is",
                turns=(human(" a"),),
                prefill=" Hello, my name is",
            ),
            id="the answer's beginning is given",
        ),
        pytest.param(
            "\n\nHuman: Say foo:\n\nAssistant: Sure, here you go:\n",
            Prompt(
                "\n\nHuman: Say foo:\n\nAssistant: Sure, here you go:\n",
                turns=(human(" Say foo:"),),
                prefill=" Sure, here you go:\n",
            ),
            id="LangChain",
        ),
        pytest.param(
            "Today is January 1, 2024.\n\nHuman: Which day is it?\n\nAssistant:",
            Prompt(
                "Today is January 1, 2024.\n\nHuman: Which day is it?\n\nAssistant:",
                system="Today is January 1, 2024.",
                turns=(human(" Which day is it?"),),
            ),
            id="a system prompt",
        ),
        pytest.param(
            "\n\nHuman: <admin>Sys.</admin>\n\nHuman: joke\n\nAssistant: ",
            Prompt(
                "\n\nHuman: <admin>Sys.</admin>\n\nHuman: joke\n\nAssistant:",
                turns=(human(" <admin>Sys.</admin>"), human(" joke")),
            ),
            id="LiteLLM",
        ),
        pytest.param(
            "\n\nHuman: Hello, world!\n\nAssistant:",
            Prompt("\n\nHuman: Hello, world!\n\nAssistant:", turns=(human(" Hello, world!"),)),
            id="the official clients",
        ),
        pytest.param(
            "\n\nHuman: question \n\nAssistant:",
            Prompt("\n\nHuman: question \n\nAssistant:", turns=(human(" question "),)),
            id="an f-string with a space before the blank line",
        ),
        pytest.param(
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            Prompt(
                "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
                turns=(human(" a"), assistant(" b"), human(" c")),
            ),
            id="a conversation",
        ),
        pytest.param(
            'You answer in JSON.\n\nHuman: 1+1?\n\nAssistant: {"sum":',
            Prompt(
                'You answer in JSON.\n\nHuman: 1+1?\n\nAssistant: {"sum":',
                system="You answer in JSON.",
                turns=(human(" 1+1?"),),
                prefill=' {"sum":',
            ),
            id="a system prompt and the answer's beginning",
        ),
        pytest.param(
            "\nHuman: a\r\n\r\nAssistant: ",
            Prompt("\n\nHuman: a\n\nAssistant:", turns=(human(" a"),)),
            id="line ends of Windows, and one newline at the start",
        ),
    ],
)
def test_prompt_is_parsed_into_turns(text: str, prompt: Prompt) -> None:
    assert parse_prompt(text) == prompt


def test_error_for_bare_text_explains_the_wrapping() -> None:
    assert refusal("Hello, world") == (
        MUST_START + r'. Wrap the text: "\n\nHuman: " + text + "\n\nAssistant:".'
    )


def test_error_for_a_single_newline_names_the_blank_line() -> None:
    assert refusal("\n\nHuman: Hello, Claude \nAssistant:") == (
        MUST_END + ". A turn begins after a blank line: two newlines, not one."
    )


def test_a_word_that_looks_like_a_turn_within_a_line_is_text() -> None:
    prompt = parse_prompt("\n\nHuman: Write Human: and\nAssistant: please\n\nAssistant:")

    assert prompt.turns == (human(" Write Human: and\nAssistant: please"),)


def test_trailing_space_of_a_prefill_is_kept() -> None:
    assert parse_prompt("\n\nHuman: a\n\nAssistant: My name is ").prefill == " My name is "


@given(prompt_like | st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    try:
        prompt = parse_prompt(text)
    except Refusal:
        assert refusal(text).startswith((MUST_START, MUST_END))
    else:
        assert prompt.turns[0].human


@given(prompt_like, prompt_like)
def test_parts_of_a_prompt_join_to_its_text(before: str, after: str) -> None:
    text = before + HUMAN + after + ASSISTANT
    try:
        prompt = parse_prompt(text)
    except Refusal:
        reject()
    turns = "".join((HUMAN if turn.human else ASSISTANT) + turn.text for turn in prompt.turns)

    assert prompt.system + turns + ASSISTANT + prompt.prefill == prompt.text
    for part in (prompt.system, prompt.prefill, *(turn.text for turn in prompt.turns)):
        assert HUMAN not in part
        assert ASSISTANT not in part


@given(prompt_like | st.text())
def test_only_line_ends_leading_newlines_and_trailing_spaces_change(text: str) -> None:
    try:
        prompt = parse_prompt(text)
    except Refusal:
        return
    as_sent = text.replace("\r\n", "\n")

    assert prompt.text.strip(" \n") == as_sent.strip(" \n")
    assert prompt.text.rstrip(" ").endswith(as_sent.rstrip(" ").lstrip("\n"))


@given(prompt_like | st.text())
def test_a_wrapped_text_is_always_a_prompt_of_one_question(text: str) -> None:
    assume("\r" not in text)
    assume(HUMAN not in text and ASSISTANT not in text)

    prompt = parse_prompt(human_turn(text))

    assert prompt == Prompt(human_turn(text), turns=(human(" " + text),))


@given(st.text())
def test_raw_prompt_is_unchanged(text: str) -> None:
    assert raw_prompt(text) == Prompt(text, system="", turns=(), prefill="")
