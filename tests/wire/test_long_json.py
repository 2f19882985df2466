"""JSON of long texts is the JSON of the texts, in short steps."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.long_text import LongText, Rope, Text
from tenuto.slices import finish
from tenuto.wire.long_json import json_steps

_texts = st.lists(st.sampled_from(['"', "\\", "\0", "é", "😀", "a" * 70_000, "\x7f"]), min_size=1)


def rope(text: str) -> Rope:
    data = text.encode()
    return Rope((LongText(data), 0, len(data)))


@given(_texts.map("".join), _texts.map("".join))
def test_parts_join_to_the_json_of_the_value(one: str, two: str) -> None:
    def value(first: Text, second: Text) -> Any:
        return {"a": first, "b": [{"c": "x", "d": Rope.joined("s", second)}, None, 2**64 - 1, 1.5]}

    parts = finish(json_steps(value(rope(one), rope(two))))

    assert json.loads(b"".join(parts)) == value(one, two)


def test_every_part_is_short() -> None:
    parts = finish(json_steps({"prompt": rope("\0é😀" * 100_000)}))

    assert len(parts) > 10
    assert max(map(len, parts)) < 500_000


def test_text_that_resembles_a_placeholder_is_kept() -> None:
    parts = finish(json_steps(["0" * 32, rope("a"), '"' + "f" * 32 + '"']))

    assert json.loads(b"".join(parts)) == ["0" * 32, "a", '"' + "f" * 32 + '"']
