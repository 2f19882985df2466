"""Parsing in slices gives the same prompt as parsing at once."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.core.long_text import LongText
from tenuto.core.prompt import Prompt
from tenuto.core.refusal import Kind, Refusal
from tenuto.prompt import long_prompt
from tenuto.prompt.long_prompt import LongPrompt, parse_long_prompt
from tenuto.prompt.turns import MOST_TURNS, parse_prompt
from tests.refusals import refused

_marks = st.sampled_from(
    ["\n\nHuman:", "\n\nAssistant:", "\nHuman:", "Assistant:", "\r\n", "\r", "\n", " ", "é", "😀"]
)
_prompts = st.lists(_marks, max_size=12).map("".join)
_sound = _prompts.map(lambda text: f"\n\nHuman:{text}\n\nAssistant:")


def finish(steps: Generator[None, None, Prompt]) -> Prompt:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            prompt: Prompt = end.value
            return prompt


def parts(read: Callable[[], Prompt]) -> tuple[object, ...]:
    try:
        prompt = read()
    except Refusal as error:
        return (error.message,)
    return (
        prompt.text,
        prompt.system,
        prompt.turns,
        prompt.prefill,
        prompt.size,
        prompt.has_turns,
        "".join(prompt.pieces()),
        "".join(prompt.question()),
    )


@pytest.mark.parametrize("size", [16, 17, 64 * 1024])
@settings(max_examples=300)
@given(text=_prompts | _sound)
def test_long_prompt_has_the_parts_of_the_whole_text(size: int, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_prompt, "PIECE_BYTES", size)
        long = parts(lambda: finish(parse_long_prompt(LongText(text.encode()), MOST_TURNS)))

    assert long == parts(lambda: parse_prompt(text))


def test_a_raw_prompt_has_no_turns() -> None:
    prompt = LongPrompt(LongText(b"Once\r\nupon"))

    assert (prompt.text, prompt.system, prompt.turns, prompt.prefill) == (
        "Once\r\nupon",
        "",
        (),
        "",
    )
    assert (list(prompt.question()), prompt.spoken_size()) == (["Once\r\nupon"], 10)


@pytest.mark.parametrize("long", [True, False])
def test_number_of_turns_is_limited(long: bool) -> None:
    def read(text: str) -> Prompt:
        if long:
            return finish(parse_long_prompt(LongText(text.encode()), 4))
        return parse_prompt(text, 4)

    pair = "\n\nHuman: a\n\nAssistant:"
    assert len(read(pair * 2).turns) == 3
    with refused(Kind.INVALID, match=r"prompt: .* at most 4 turns\. `max_turns`"):
        read(pair * 3)


def test_spoken_size_excludes_marks_and_white_space() -> None:
    text = " Sys \n\nHuman: é \n\nAssistant: b\n\nHuman:  \n\nAssistant: pre "

    for prompt in (parse_prompt(text), finish(parse_long_prompt(LongText(text.encode()), 9))):
        assert prompt.spoken_size() == len("Sysébpre".encode())
