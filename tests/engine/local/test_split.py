"""Models in several files, as llama.cpp's `gguf-split` writes them."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenuto.core.refusal import ModelError
from tenuto.engine.local import gguf, model_file, split
from tenuto.engine.local.choose import candidates
from tenuto.engine.local.description import describe
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.gguf import ModelFileError
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import CannotLoad, RuntimeOptions
from tenuto.settings import LocalSettings
from tests.split_files import put_together, split_keys, take_apart
from tests.split_files import split as split_model

OPTIONS: list[dict[str, Any]] = [
    {},
    {"max_tensors": 20},
    {"max_tensors": 1},
    {"max_size": 1_000_000},
    {"max_tensors": 28, "no_tensor_first_split": True},
    {"max_size": 1_000_000, "no_tensor_first_split": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_split_model_has_the_metadata_of_the_whole(tmp_path: Path, options: dict[str, Any]) -> None:
    whole = gguf.read(built_in_model())
    first, *others = split_model(built_in_model(), tmp_path, **options)

    file = model_file.read(first)
    assert file.architecture == whole.architecture
    assert [(t.name, t.type, t.length) for t in file.tensors] == [
        (t.name, t.type, t.length) for t in whole.tensors
    ]
    assert split.is_split(file) is bool(others)
    assert model_file.name(first) == "m"
    LocalEngine(LocalSettings(model=first))
    found, expected = describe(first), describe(built_in_model())
    assert (found.architecture, found.quantisation, found.context, found.reason) == (
        *(expected.architecture, expected.quantisation, expected.context),
        "",
    )


def parts(folder: Path, count: int = 3) -> list[Path]:
    found = split_model(built_in_model(), folder, max_tensors=-(-56 // count))
    assert len(found) == count
    return found


def rewrite(path: Path, number: int, count: int, tensors: int) -> None:
    """Write other keys into a part that is not the first."""
    part = take_apart(path.read_bytes())
    path.write_bytes(put_together(split_keys(number, count, tensors), part.tensors))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_number(path: Path) -> None:
    part = take_apart(path.read_bytes())
    path.write_bytes(put_together(split_keys(2, 3, 56)[1:], part.tensors))


def a_whole_model(path: Path) -> None:
    shutil.copy(built_in_model(), path)


def the_second_again(path: Path) -> None:
    second = take_apart(path.with_name("m-00002-of-00003.gguf").read_bytes())
    path.write_bytes(put_together(split_keys(2, 3, 56), second.tensors))


def fewer_tensors(path: Path) -> None:
    part = take_apart(path.read_bytes())
    path.write_bytes(put_together(split_keys(2, 3, 56), part.tensors[1:]))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "its part m-00003-of-00003.gguf: there is no such file"),
        (cut, "its part m-00003-of-00003.gguf: the file is truncated"),
        (lambda path: path.write_bytes(b"<html>"), "m-00003-of-00003.gguf: not a GGUF file"),
        (
            lambda path: rewrite(path, 1, 3, 56),
            "its part m-00003-of-00003.gguf: metadata split.no is 1, and must be 2",
        ),
        (
            lambda path: rewrite(path, 2, 4, 56),
            "its part m-00003-of-00003.gguf: metadata split.count is 4, and must be 3",
        ),
        (
            lambda path: rewrite(path, 2, 3, 57),
            "m-00003-of-00003.gguf: metadata split.tensors.count is 57, and must be 56",
        ),
        (without_number, "m-00003-of-00003.gguf: metadata"),
        (a_whole_model, "m-00003-of-00003.gguf: metadata split.no is missing, and must be 2"),
        (the_second_again, "is in two of its parts"),
        (fewer_tensors, "its parts hold 55 tensors, and split.tensors.count is 56"),
    ],
)
def test_missing_or_wrong_part_is_named(
    tmp_path: Path, damage: Callable[[Path], object], reason: str
) -> None:
    first, _, last = parts(tmp_path)
    damage(last)
    with pytest.raises(ModelError) as refusal:
        LocalEngine(LocalSettings(model=first))
    assert str(refusal.value).startswith(f"{first}: ")
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)
    # The list of models gives the reason that the server gives.
    assert reason in describe(first).reason


def test_error_of_a_later_part_names_the_first(tmp_path: Path) -> None:
    for path in parts(tmp_path)[1:]:
        with pytest.raises(ModelFileError, match=r"; name its first file, m-00001-of-00003\.gguf$"):
            model_file.read(path)


def test_renamed_part_is_rejected_with_the_required_name(tmp_path: Path) -> None:
    first, second, _ = parts(tmp_path)
    with pytest.raises(ModelFileError, match=r"its name must be NAME-00001-of-00003\.gguf"):
        model_file.read(first.rename(tmp_path / "renamed.gguf"))
    with pytest.raises(
        ModelFileError, match=r"its name is that of part 1, and its metadata .* part 2 of 3"
    ):
        model_file.read(second.rename(first))


@pytest.mark.parametrize(
    "value", [(8, struct.pack("<Q", 1) + b"3"), (7, b"\1"), (5, struct.pack("<i", -1))], ids=str
)
def test_a_count_of_the_wrong_type_is_an_error(tmp_path: Path, value: tuple[int, bytes]) -> None:
    kind, data = value
    whole = take_apart(built_in_model().read_bytes())
    key = b"split.count"
    odd = struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + data
    path = tmp_path / "m-00001-of-00003.gguf"
    path.write_bytes(put_together((*whole.pairs, odd), whole.tensors))
    with pytest.raises(
        ModelFileError, match=r"metadata split\.count is .*must be an integer from 0"
    ):
        model_file.read(path)


def test_split_model_is_not_loaded_by_openvino(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("openvino_genai")
    from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime

    first = parts(tmp_path)[0]
    file = model_file.read(first)
    assert "openvino" not in [each.runtime for each in candidates("auto", file)]
    with pytest.raises(CannotLoad, match="does not read models in several files; set `runtime`"):
        OpenVinoRuntime(RuntimeOptions(str(first), 2, threads=1), file)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("m-00001-of-00003.gguf", "m"),
        ("m-00003-of-00002.gguf", "m-00003-of-00002"),
        ("some-q8_0.gguf", "some-q8_0"),
        ("0a1b", "0a1b"),
    ],
)
def test_model_name_is_derived_from_the_file_name(name: str, model: str) -> None:
    assert split.model_name(Path(name)) == model
