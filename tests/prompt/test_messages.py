from __future__ import annotations

import pytest

from tenuto.prompt.messages import messages_of
from tenuto.prompt.turns import parse_prompt


@pytest.mark.parametrize(
    ("text", "messages", "prefill"),
    [
        ("\n\nHuman: Hi\n\nAssistant:", [("user", "Hi")], ""),
        (
            "Be brief.\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Why?\n\nAssistant:",
            [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Why?")],
            "",
        ),
        ("\n\nHuman: JSON\n\nAssistant: {", [("user", "JSON")], "{"),
        ("\n\nHuman: A\n\nHuman: B\n\nAssistant:", [("user", "A\n\nB")], ""),
        ("\n\nHuman: A\n\nAssistant: B\n\nAssistant:", [("user", "A")], "B"),
        ("\n\nHuman: A\n\nAssistant: B\n\nAssistant: C", [("user", "A")], "B\n\nC"),
        ("\n\nHuman:\n\nAssistant:", [("user", "")], ""),
    ],
)
def test_turns_become_messages(text: str, messages: list[tuple[str, str]], prefill: str) -> None:
    assert messages_of(parse_prompt(text)) == (messages, prefill)
