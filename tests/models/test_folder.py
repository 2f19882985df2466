from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder, partial_of


def add(folder: Path, name: str, size: int = 10) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_missing_folder_is_empty(tmp_path: Path) -> None:
    assert ModelFolder(tmp_path / "none").models() == []


def test_models_are_listed_by_name_without_other_files(tmp_path: Path) -> None:
    add(tmp_path, "o/r/b-Q8_0.gguf", 7)
    add(tmp_path, "o/r/deep/a.gguf", 5)
    add(tmp_path, "o/r/README.md")
    add(tmp_path, "stray.gguf")

    listed = [(model.name, model.size, model.complete) for model in ModelFolder(tmp_path).models()]

    assert listed == [("o/r:b-Q8_0.gguf", 7, True), ("o/r:deep/a.gguf", 5, True)]


def test_split_model_is_complete_with_every_part(tmp_path: Path) -> None:
    add(tmp_path, "o/r/m-00002-of-00002.gguf", 2)
    (model,) = ModelFolder(tmp_path).models()
    assert (model.size, model.complete) == (2, False)
    first = add(tmp_path, "o/r/m-00001-of-00002.gguf", 1)
    (model,) = ModelFolder(tmp_path).models()
    assert (model.size, model.complete, model.path) == (3, True, first)


@pytest.mark.parametrize(
    "text",
    [
        *("o/r:m-Q8_0.gguf", "hf:o/r:m-Q8_0.gguf", "O/R:M-q8_0.GGUF", "o/r:Q8_0", "o/r:q8_0"),
        *("o/r", "m-Q8_0", "m-Q8_0.gguf", "o/r:m-Q8_0"),
    ],
)
def test_a_model_is_found_by_any_of_its_names(tmp_path: Path, text: str) -> None:
    path = add(tmp_path, "o/r/m-Q8_0.gguf")
    add(tmp_path, "o/other/n-Q8_0.gguf")
    assert ModelFolder(tmp_path).find(text).path == path


def test_ambiguous_name_is_rejected_with_every_match(tmp_path: Path) -> None:
    add(tmp_path, "o/r/m-Q8_0.gguf")
    add(tmp_path, "o/r/m-Q4_0.gguf")
    with pytest.raises(ModelUnavailable, match=r"o/r:m-Q4_0\.gguf, o/r:m-Q8_0\.gguf"):
        ModelFolder(tmp_path).find("o/r")


@pytest.mark.parametrize("text", ["none", "o/r:Q4_0", "m-Q8", "../r", ""])
def test_unknown_name_is_rejected(tmp_path: Path, text: str) -> None:
    add(tmp_path, "o/r/m-Q8_0.gguf")
    with pytest.raises(ModelUnavailable, match="tenuto models"):
        ModelFolder(tmp_path).find(text)


def test_incomplete_model_is_not_found(tmp_path: Path) -> None:
    add(tmp_path, partial_of(Path("o/r/m.gguf"), "0" * 64).as_posix(), 4)
    folder = ModelFolder(tmp_path)
    (model,) = folder.models()
    assert (model.name, model.size, model.complete) == ("o/r:m.gguf", 4, False)
    with pytest.raises(ModelUnavailable):
        folder.find("o/r:m.gguf")


def test_remove_deletes_exactly_the_model(tmp_path: Path) -> None:
    root = tmp_path / "models"
    add(root, "o/r/m-00001-of-00002.gguf")
    add(root, "o/r/m-00002-of-00002.gguf")
    partial = add(root, partial_of(Path("o/r/m-00001-of-00002.gguf"), "f" * 64).as_posix())
    other = add(root, "o/s/m.gguf")
    folder = ModelFolder(root)

    folder.remove(folder.find("o/r"))

    assert not partial.exists()
    assert [path for path in root.rglob("*") if path.is_file()] == [other]
    assert not (root / "o" / "r").exists()
    folder.remove(folder.find("o/s"))
    assert list(root.iterdir()) == []


@pytest.mark.parametrize(
    ("repo", "file"),
    [
        ("o/r", "../x.gguf"),
        ("o/r", "/x.gguf"),
        ("o/r", "a/../../../x.gguf"),
        ("../..", "x.gguf"),
        ("o/..", "x.gguf"),
        ("o", "x.gguf"),
    ],
)
def test_nothing_is_placed_outside_the_folder(tmp_path: Path, repo: str, file: str) -> None:
    with pytest.raises(ModelUnavailable, match="outside"):
        ModelFolder(tmp_path / "models").place(repo, file)


def test_link_outside_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    victim = add(outside, "m.gguf")
    root = tmp_path / "models"
    (root / "o").mkdir(parents=True)
    (root / "o" / "r").symlink_to(outside)
    folder = ModelFolder(root)

    with pytest.raises(ModelUnavailable, match="outside"):
        folder.place("o/r", "m.gguf")
    for model in folder.models():
        with pytest.raises(ModelUnavailable, match="outside"):
            folder.remove(model)
    assert victim.exists()


def test_missing_parts_are_found_with_one_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = add(tmp_path, "o/r/x-00001-of-99999.gguf", 3)
    looks: list[Path] = []
    listed = Path.iterdir

    def look(path: Path) -> object:
        looks.append(path)
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", look)
    (model,) = ModelFolder(tmp_path).models()
    assert (model.file, model.size, model.complete) == ("x-00001-of-99999.gguf", 3, False)
    ModelFolder(tmp_path).remove(model)
    assert not stray.exists()
    assert len(looks) < 10


@pytest.mark.parametrize(
    "name", ["x-00000-of-00000.gguf", "x-00003-of-00002.gguf", "x-00000-of-00002.gguf"]
)
def test_part_number_over_the_count_is_part_of_the_name(tmp_path: Path, name: str) -> None:
    path = add(tmp_path, f"o/r/{name}", 3)
    (model,) = ModelFolder(tmp_path).models()
    assert (model.path, model.complete) == (path, True)
