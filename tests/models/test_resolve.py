from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.models.errors import ModelUnavailable
from tenuto.models.folder import ModelFolder, partial_of, resolve
from tenuto.models.names import Reference


class Hub:
    def __init__(self) -> None:
        self.pulled: list[str] = []

    def pull(self, reference: Reference, folder: ModelFolder) -> Path:
        self.pulled.append(str(reference))
        return Path("pulled.gguf")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "o" / "r" / "m-Q8_0.gguf"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def resolved(text: str | Path, tmp_path: Path) -> tuple[Path, list[str]]:
    hub = Hub()
    return resolve(text, lambda: ModelFolder(tmp_path / "models"), hub.pull), hub.pulled


def test_existing_path_is_returned(tmp_path: Path, here: Path) -> None:
    assert resolved(str(here), tmp_path) == (here, [])
    assert resolved(str(tmp_path), tmp_path) == (tmp_path, [])


def test_path_takes_precedence_over_a_name(
    tmp_path: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m-Q8_0.gguf").touch()
    assert resolved("m-Q8_0.gguf", tmp_path)[0] == Path("m-Q8_0.gguf")


@pytest.mark.parametrize("text", ["o/r", "o/r:Q8_0", "m-Q8_0", "hf:o/r", "hf:o/r:m-Q8_0.gguf"])
def test_downloaded_model_is_resolved_without_the_hub(
    tmp_path: Path, here: Path, text: str
) -> None:
    assert resolved(text, tmp_path) == (here, [])


@pytest.mark.parametrize("text", ["hf:o/r:Q4_0", "hf:o/other", "hf:o/r:n.gguf"])
def test_missing_hub_reference_is_pulled(tmp_path: Path, here: Path, text: str) -> None:
    assert resolved(text, tmp_path) == (Path("pulled.gguf"), [text.removeprefix("hf:")])


def test_incomplete_model_is_pulled(tmp_path: Path, here: Path) -> None:
    here.rename(partial_of(here, "0" * 64))
    assert resolved("hf:o/r", tmp_path)[1] == ["o/r"]
    with pytest.raises(ModelUnavailable):
        resolved("o/r", tmp_path)


@pytest.mark.parametrize("text", ["o/other", "nowhere.gguf", "o/r:Q4_0", "./x"])
def test_name_without_the_hub_prefix_is_not_pulled(tmp_path: Path, here: Path, text: str) -> None:
    with pytest.raises(ModelUnavailable, match=r"there is no such file.* `tenuto models`"):
        resolved(text, tmp_path)


def test_ambiguous_name_lists_the_models(tmp_path: Path, here: Path) -> None:
    here.with_name("m-Q4_0.gguf").touch()
    for text in ("o/r", "hf:o/r"):
        with pytest.raises(
            ModelUnavailable, match=r"several models match; write one of o/r:m-Q4_0"
        ):
            resolved(text, tmp_path)


def test_path_of_the_settings_is_returned_unchecked(tmp_path: Path) -> None:
    assert resolved(Path("nowhere.gguf"), tmp_path) == (Path("nowhere.gguf"), [])


def test_invalid_hub_reference_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="not a model on the hub"):
        resolved("hf:../x", tmp_path)
