"""Vocabularies of GGUF files in llama.cpp."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import GREEDY, TEXT, load, made, write

pytest.importorskip("xllamacpp")

# Two words of six bytes each, without a role in the tests' texts.
ONE, OTHER = "\u0120race", "\u0120farm"


def with_tokens(folder: Path, changed: Mapping[str, str]) -> Path:
    """Write the built-in model with some tokens replaced by others of the same size."""
    tokens = gguf.read(built_in_model()).tokens
    before = b"".join(map(entry, tokens))
    after = b"".join(entry(changed.get(token, token)) for token in tokens)
    data = built_in_model().read_bytes()
    assert data.count(before) == 1
    assert len(before) == len(after)
    model = folder / "model.gguf"
    model.write_bytes(data.replace(before, after))
    return model


def entry(token: str) -> bytes:
    data = token.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(data)) + data


@pytest.mark.parametrize(
    ("changed", "shown"),
    [({OTHER: ONE}, ONE), ({OTHER: "a\0bcde"}, "a")],
    ids=["whole", "up to a zero byte"],
)
def test_equal_tokens_are_rejected_before_the_library_ends_the_process(
    tmp_path: Path, changed: dict[str, str], shown: str
) -> None:
    tokens = gguf.read(built_in_model()).tokens
    pair = f"{tokens.index(shown)} and {tokens.index(OTHER)} are both {shown!r}"
    with pytest.raises(CannotLoad, match=re.escape(pair)):
        made(LlamaCppRuntime, load(with_tokens(tmp_path, changed)))


@pytest.mark.parametrize(
    "changed",
    [{ONE: "\0abcde", OTHER: "\0vwxyz"}, {OTHER: "@#\0#@@"}],
    ids=["two empty tokens", "a zero byte"],
)
def test_tokens_that_differ_for_the_library_are_loaded(
    tmp_path: Path, changed: dict[str, str]
) -> None:
    runtime = made(LlamaCppRuntime, load(with_tokens(tmp_path, changed)))
    assert write(runtime, runtime.encode(TEXT), 3, GREEDY)[1] == 3
