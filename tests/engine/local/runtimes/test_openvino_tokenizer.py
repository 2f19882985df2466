from __future__ import annotations

import os
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.runtimes.openvino import temporary
from tenuto.engine.local.runtimes.openvino.temporary import writable
from tenuto.engine.local.runtimes.openvino.tokenizer import OpenVinoTokenizer
from tests.model_folders import as_folder

genai = pytest.importorskip("openvino_genai")

_parts = st.sampled_from(["\n\nHuman:", "\n\n\n", " word", "1234567", "<|tenuto:end|>", "\0", "😀"])


@pytest.fixture(scope="module")
def tokenizer() -> OpenVinoTokenizer:
    return OpenVinoTokenizer(built_in_model())


@pytest.fixture(scope="module")
def library_tokenizer() -> object:
    return genai.Tokenizer(str(built_in_model()))


@settings(max_examples=200)
@given(text=st.lists(st.text(max_size=30) | _parts, min_size=1, max_size=9).map("".join))
def test_tokens_equal_those_of_the_library(
    tokenizer: OpenVinoTokenizer, library_tokenizer: object, text: str
) -> None:
    expected = []
    if text:
        tokens = library_tokenizer.encode(text, add_special_tokens=False)  # type: ignore[attr-defined]
        expected = tokens.input_ids.data[0].tolist()
    assert tokenizer.encode(text) == expected


@pytest.mark.parametrize("text", ["", "\0", "a\0\0", "\0a\0b\0"])
def test_end_of_a_text_is_tokenised(tokenizer: OpenVinoTokenizer, text: str) -> None:
    assert len(tokenizer.encode(text)) == len(text)


def test_very_long_text_is_tokenised_whole(tokenizer: OpenVinoTokenizer) -> None:
    once = tokenizer.encode("one two three ")
    many = tokenizer.encode("one two three " * 30_000)
    assert len(many) > 60_000
    assert many[:2] == once[:2]


def test_other_threads_run_during_tokenising(tokenizer: OpenVinoTokenizer) -> None:
    tokenising = threading.Thread(target=tokenizer.encode, args=("word " * 1_000_000,))
    turns = 0
    tokenising.start()
    while tokenising.is_alive():
        tokenising.join(0.001)
        turns += 1
    # With the lock kept there would be one, when all is over.
    assert turns > 5


def test_threads_tokenise_independently(tokenizer: OpenVinoTokenizer) -> None:
    texts = [f"{number} " * 20_000 for number in range(4)]
    alone = [tokenizer.encode(text) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(tokenizer.encode, texts)) == alone


def test_no_file_is_left_beside_the_model(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(built_in_model().read_bytes())
    OpenVinoTokenizer(model)
    assert list(tmp_path.iterdir()) == [model]


def test_shared_memory_is_used_without_a_writable_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(temporary, "_SHARED_MEMORY", str(tmp_path))
    assert OpenVinoTokenizer(built_in_model()).encode("Once")
    assert list(tmp_path.iterdir()) == []


def test_error_without_a_writable_folder_has_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(temporary, "_SHARED_MEMORY", str(tmp_path / "nowhere"))
    with pytest.raises(CannotLoad, match="set TMPDIR"):
        OpenVinoTokenizer(built_in_model())


def test_openvino_folder_needs_no_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = as_folder(built_in_model(), tmp_path / "mini-ov")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr(temporary, "_SHARED_MEMORY", str(tmp_path / "nowhere"))
    assert OpenVinoTokenizer(folder).encode("Once")


def test_read_only_file_is_copied_during_the_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(built_in_model().read_bytes())
    with writable(model) as path:
        assert path == model
    # The superuser may write anything, but not to a file system that is read-only.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with writable(model) as path:
        assert path != model
        assert path.read_bytes() == model.read_bytes()
    assert not path.exists()
    monkeypatch.setattr(temporary, "_MAX_COPIED_BYTES", 1000)
    with (
        pytest.raises(CannotLoad, match="this one is read-only; make it writable"),
        writable(model),
    ):
        pass
