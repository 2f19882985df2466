from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.engine.local.engine import built_in_model
from tenuto.engine.local.runtime.openvino_tokenizer import OpenVinoTokenizer

genai = pytest.importorskip("openvino_genai")

_parts = st.sampled_from(["\n\nHuman:", "\n\n\n", " word", "1234567", "<|tenuto:end|>", "\0", "😀"])


@pytest.fixture(scope="module")
def tokenizer() -> OpenVinoTokenizer:
    return OpenVinoTokenizer(built_in_model())


@pytest.fixture(scope="module")
def librarys() -> object:
    return genai.Tokenizer(str(built_in_model()))


@settings(max_examples=200)
@given(text=st.lists(st.text(max_size=30) | _parts, min_size=1, max_size=9).map("".join))
def test_tokens_are_those_of_the_library(
    tokenizer: OpenVinoTokenizer, librarys: object, text: str
) -> None:
    expected = []
    if text:
        tokens = librarys.encode(text, add_special_tokens=False)  # type: ignore[attr-defined]
        expected = tokens.input_ids.data[0].tolist()
    assert tokenizer.encode(text) == expected


@pytest.mark.parametrize("text", ["", "\0", "a\0\0", "\0a\0b\0"])
def test_nothing_is_lost_at_the_end(tokenizer: OpenVinoTokenizer, text: str) -> None:
    assert len(tokenizer.encode(text)) == len(text)


def test_a_text_of_any_length_is_tokenised_whole(tokenizer: OpenVinoTokenizer) -> None:
    once = tokenizer.encode("one two three ")
    many = tokenizer.encode("one two three " * 30_000)
    assert len(many) > 60_000
    assert many[:2] == once[:2]


def test_other_threads_run_meanwhile(tokenizer: OpenVinoTokenizer) -> None:
    tokenising = threading.Thread(target=tokenizer.encode, args=("word " * 1_000_000,))
    turns = 0
    tokenising.start()
    while tokenising.is_alive():
        tokenising.join(0.001)
        turns += 1
    # With the lock kept there would be one, when all is over.
    assert turns > 5


def test_threads_do_not_disturb_each_other(tokenizer: OpenVinoTokenizer) -> None:
    texts = [f"{number} " * 20_000 for number in range(4)]
    alone = [tokenizer.encode(text) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tokenizer.encode, texts)) == alone


def test_nothing_is_left_beside_the_model(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(built_in_model().read_bytes())
    OpenVinoTokenizer(model)
    assert list(tmp_path.iterdir()) == [model]
