"""The models of a key."""

from __future__ import annotations

import pytest

from tenuto.operations.keys.entry import KeyEntry


def entry(*models: str) -> KeyEntry:
    return KeyEntry(1, "team", bytes(32), models=models)


@pytest.mark.parametrize(
    ("models", "model", "allowed"),
    [
        ((), "anything", True),
        (("claude-*", "qwen"), "claude-2", True),
        (("claude-*", "qwen"), "qwen", True),
        (("claude-*", "qwen"), "qwen-2", False),
        (("claude-*",), "not-claude-2", False),
        (("a.c",), "abc", False),
        (("claude-*",), "claude-2\nqwen", True),
    ],
)
def test_key_may_use_the_models_of_its_patterns(
    models: tuple[str, ...], model: str, allowed: bool
) -> None:
    assert entry(*models).allows(model) is allowed


def test_text_of_an_entry_has_no_hash() -> None:
    text = repr(KeyEntry(1, "team", b"\x5a" * 32))

    assert "team" in text
    assert "5a" not in text.lower()
    assert "Z" * 8 not in text
