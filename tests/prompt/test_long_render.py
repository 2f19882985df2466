"""A long prompt becomes the chat that it becomes when it is read at once, in short steps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.core import long_text
from tenuto.core.long_text import LongText, Rope
from tenuto.prompt import long_render
from tenuto.prompt.long_prompt import LongPrompt
from tenuto.prompt.long_render import chat_steps
from tenuto.prompt.render import Chat, Continuation, to_chat
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.slices import finish
from tests.prompt.long_texts import LARGE, MOST_STEP_S, long, longest_step

_words = st.sampled_from([" ", "\n", "\u3000", "\x1f", "é", "😀", '"', "a", "word", "x" * 300])
_marks = st.sampled_from(["\n\nHuman:", "\n\nAssistant:"])
_texts = st.lists(_words | _marks, max_size=12).map("".join)


def plain(chat: Chat) -> tuple[object, ...]:
    turns = tuple((side, str(text)) for side, text in chat.turns)
    return str(chat.system), turns, str(chat.prefill), str(chat.gap)


@pytest.mark.parametrize("size", [16, 64 * 1024])
@settings(max_examples=100)
@given(system=_texts, text=_texts, prefill=_texts)
def test_long_prompt_renders_like_the_whole_text(
    size: int, system: str, text: str, prefill: str
) -> None:
    # Whatever marks the drawn texts have, the first turn is Human's and the last Assistant's.
    opening = "\n\nHuman:" if "\n\nAssistant:" in system else ""
    ending = "\n\nAssistant:" if "\n\nHuman:" in prefill else ""
    whole = f"{opening}{system}\n\nHuman:{text}\n\nAssistant:{prefill}{ending}"
    prompt = parse_prompt(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "PIECE_BYTES", size)
        patch.setattr(long_render, "PIECE_BYTES", size)
        chat = finish(chat_steps(long(whole)))

    assert plain(chat) == plain(to_chat(prompt))
    assert bool(chat.prefill) == bool(to_chat(prompt).prefill)
    assert bool(chat.gap) == bool(to_chat(prompt).gap)


@pytest.mark.parametrize("text", [" Once upon ", " \n", "", "\u3000" * 50])
def test_raw_prompt_is_one_unchanged_turn(text: str) -> None:
    prompt = LongPrompt(LongText(text.encode()))

    assert plain(finish(chat_steps(prompt))) == plain(to_chat(raw_prompt(text)))


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_no_step_blocks_the_event_loop(text: str) -> None:
    assert longest_step(chat_steps(long(text))) < MOST_STEP_S


@pytest.mark.parametrize("cut", [1, 70_000, 1 << 20])
def test_repeated_long_prefill_is_removed(cut: int) -> None:
    prefill = ("é" * 50_000 + "b") * 2
    rope = Rope((LongText(prefill.encode()), 0, len(prefill.encode())))
    continuation = Continuation(Chat("", (("user", "Hi"),), rope), repeated=True)
    answer = f"\n{prefill} and on"

    pieces = [answer[start : start + cut] for start in range(0, len(answer), cut)]

    assert "".join([*map(continuation.push, pieces), continuation.end()]) == " and on"


@pytest.mark.parametrize("answer", ["é" * 50_000 + "x", "é" * 50_000 + "b" + "é" * 9, "x", " "])
def test_an_answer_that_differs_from_a_long_prefill_is_kept(answer: str) -> None:
    prefill = "é" * 50_000 + "b" * 200_000
    rope = Rope((LongText(prefill.encode()), 0, len(prefill.encode())))
    for cut in (777, 1 << 20):
        continuation = Continuation(Chat("", (("user", "Hi"),), rope), repeated=True)
        pieces = [answer[start : start + cut] for start in range(0, len(answer), cut)]
        text = "".join([*map(continuation.push, pieces), continuation.end()])
        assert text == (" " + answer if answer.strip() else "")
