from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.prompt.render import Chat, Continuation, to_chat
from tenuto.prompt.turns import parse_prompt, raw_prompt

HI = (("user", "Hi"),)


@pytest.mark.parametrize(
    ("text", "chat"),
    [
        ("\n\nHuman: Hi\n\nAssistant:", Chat("", HI)),
        (
            "Be brief.\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:",
            Chat("Be brief.", (*HI, ("assistant", "Hello."), ("user", "Why?"))),
        ),
        ("\n\nHuman: Hi\n\nAssistant: {", Chat("", HI, "{")),
        ("\n\nHuman: Hi\n\nAssistant: {\n  ", Chat("", HI, "{", "\n  ")),
        ("\n\nHuman: Hi\n\nAssistant:\n", Chat("", HI)),
        ("\n\nHuman: A\n\nHuman: B\n\nAssistant:", Chat("", (("user", "A\n\nB"),))),
        ("\n\nHuman: Hi\n\nAssistant: B\n\nAssistant:", Chat("", HI, "B")),
        ("\n\nHuman: Hi\n\nAssistant: B\n\nAssistant: C", Chat("", HI, "B\n\nC")),
        ("\n\nHuman:   two more\n\nAssistant:", Chat("", (("user", "  two more"),))),
        ("\n\nHuman: A\n\nAssistant:\n\nHuman: B\n\nAssistant:", Chat("", (("user", "A\n\nB"),))),
        ("\n\nHuman:\n\nAssistant:", Chat("", ())),
        ("\n\nHuman:\n\nAssistant: So", Chat("", (), "So")),
    ],
)
def test_a_prompt_becomes_a_chat(text: str, chat: Chat) -> None:
    assert to_chat(parse_prompt(text)) == chat


def test_raw_prompt_is_one_unchanged_turn() -> None:
    assert to_chat(raw_prompt(" Once upon ")) == Chat("", (("user", " Once upon "),))
    assert to_chat(raw_prompt(" \n")) == Chat("", ())


def continued(chat: Chat, pieces: list[str], *, repeated: bool = False) -> str:
    continuation = Continuation(chat, repeated=repeated)
    return "".join([*map(continuation.push, pieces), continuation.end()])


@pytest.mark.parametrize(
    ("chat", "repeated", "answer", "completion"),
    [
        (Chat("", HI), False, "Hello", " Hello"),
        (Chat("", HI), False, "\n\nHello ", " Hello "),
        (Chat("", HI), False, "", ""),
        (Chat("", HI), False, " \n", ""),
        # A prefill is continued where it ends.
        (Chat("", HI, "{"), False, '"a": 1}', '"a": 1}'),
        (Chat("", HI, "Once"), False, " upon", " upon"),
        (Chat("", HI, "Once", " "), False, " upon", "upon"),
        (Chat("", HI, "Once", " "), False, "upon", "upon"),
        (Chat("", HI, "Once", "\n"), False, " \n", ""),
        # One that was given as an instruction is taken away again.
        (Chat("", HI, "{"), True, '{"a": 1}', '"a": 1}'),
        (Chat("", HI, "{"), True, '\n{"a": 1}', '"a": 1}'),
        (Chat("", HI, "Once", " "), True, "Once upon", "upon"),
        (Chat("", HI, "Once upon"), True, "Once more", " Once more"),
        (Chat("", HI, "Once upon"), True, "Once", " Once"),
        (Chat("", HI, "Once upon"), True, "", ""),
    ],
)
def test_answer_becomes_the_continuation_of_the_prompt(
    chat: Chat, repeated: bool, answer: str, completion: str
) -> None:
    assert continued(chat, [answer], repeated=repeated) == completion


@given(
    st.sampled_from([("", ""), ("{", ""), ("Once", " "), ("Once upon", "\n")]),
    st.booleans(),
    st.text("{Once upn\n", max_size=14),
    st.data(),
)
def test_continuation_is_the_same_for_any_pieces(
    begun: tuple[str, str], repeated: bool, answer: str, data: st.DataObject
) -> None:
    chat = Chat("", HI, *begun)
    repeated = repeated and bool(begun[0])
    at = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=4)))
    pieces = [answer[a:b] for a, b in zip([0, *at], [*at, len(answer)], strict=True)]
    assert continued(chat, pieces, repeated=repeated) == continued(
        chat, [answer], repeated=repeated
    )


def test_text_is_emitted_as_soon_as_it_is_decided() -> None:
    continuation = Continuation(Chat("", HI, "Once upon"), repeated=True)
    assert [continuation.push(text) for text in ("On", "ce upon", " a", " time")] == [
        *("", "", " a", " time")
    ]


def test_many_turns_of_one_side_render_in_linear_time() -> None:
    # Each joined to those before, these were 40 GB of copies.
    turns = ("\n\nHuman: " + "a" * 838) * 9_999
    prompt = parse_prompt(turns + "\n\nAssistant:")

    started = time.thread_time()
    chat = to_chat(prompt)

    assert time.thread_time() - started < 1
    assert [len(str(text)) for _, text in chat.turns] == [9_999 * 840 - 2]


def test_long_prefill_is_removed_in_linear_time() -> None:
    prefill = "word " * 200_000 + "end"
    continuation = Continuation(Chat("", HI, prefill), repeated=True)

    started = time.thread_time()
    for start in range(0, len(prefill), 20):
        assert continuation.push(prefill[start : start + 20]) == ""

    assert time.thread_time() - started < 1
    assert continuation.push(" and on") == " and on"


def test_leading_white_space_of_a_prefill_need_not_be_repeated() -> None:
    assert continued(Chat("", HI, "  {"), ["{", "}"], repeated=True) == "}"
