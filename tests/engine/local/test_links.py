"""Links as the hub's cache makes them, and names that libraries do not take."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tenuto.core.refusal import ModelError
from tenuto.engine.local import model_file
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.model_file import built_in_model
from tenuto.settings import LocalSettings
from tests.split_files import split


def cached(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Keep files as the hub's cache does: blobs under their checksums, and links to them."""
    blobs = folder / "models--org--Mini-GGUF" / "blobs"
    snapshot = folder / "models--org--Mini-GGUF" / "snapshots" / "0123456789abcdef"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(files):
        shutil.copy(file, blobs / f"0a{number}b")
        (snapshot / file.name).symlink_to(f"../../blobs/0a{number}b")
    return [snapshot / file.name for file in files]


def opened(path: Path) -> tuple[str, bytes]:
    """Return the name and the first bytes of the file that a runtime would be given."""
    with model_file.readable(path) as readable:
        return readable.name, readable.read_bytes()[:4]


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return cached(tmp_path, [built_in_model()])[0]


def test_runtime_opens_the_link_by_its_name(link: Path) -> None:
    assert model_file.name(link) == "tenuto-mini"
    assert opened(link) == ("tenuto-mini.gguf", b"GGUF")


@pytest.mark.parametrize("absolute", [True, False])
def test_chain_of_links_is_followed_to_a_gguf_name(link: Path, absolute: bool) -> None:
    outer = link.parent.parent / "outer"
    target = link if absolute else Path(link.parent.name) / link.name
    outer.symlink_to(target)
    assert opened(outer) == ("tenuto-mini.gguf", b"GGUF")
    assert model_file.name(outer) == "outer"


def test_the_parts_of_a_split_model_are_found_beside_the_link(tmp_path: Path) -> None:
    parts = cached(tmp_path / "hub", split(built_in_model(), tmp_path / "plain", max_tensors=20))
    assert opened(parts[0]) == ("m-00001-of-00003.gguf", b"GGUF")
    # One more link, in a folder without the other parts, and of another name.
    outer = tmp_path / "outer.gguf"
    outer.symlink_to(parts[0])
    assert opened(outer) == ("m-00001-of-00003.gguf", b"GGUF")
    same = tmp_path / parts[0].name
    same.symlink_to(parts[0])
    with model_file.readable(same) as readable:
        assert readable.with_name("m-00003-of-00003.gguf").exists()
    LocalEngine(LocalSettings(model=same))


@pytest.mark.parametrize("name", ["0a1b", "m.GGUF", "m.gguf.bak", os.fsdecode(b"caf\xe9.gguf")])
def test_name_unusable_for_a_library_is_linked(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copy(built_in_model(), path)
    with model_file.readable(path) as readable:
        assert readable.suffix == ".gguf"
        str(readable).encode()
        assert readable.read_bytes()[:4] == b"GGUF"
    assert not readable.exists()
    assert model_file.name(path).encode()


def test_parts_in_a_folder_that_is_not_utf8_are_linked_together(tmp_path: Path) -> None:
    first = split(built_in_model(), tmp_path / os.fsdecode(b"caf\xe9"), max_tensors=20)[0]
    with model_file.readable(first) as readable:
        str(readable).encode()
        assert model_file.read(readable).architecture == "llama"


@pytest.mark.parametrize("name", ["with space é😀.gguf", "-dash.gguf", "m.gguf"])
def test_usable_name_is_not_linked(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copy(built_in_model(), path)
    with model_file.readable(path) as readable:
        assert readable == path


def test_file_is_not_linked_without_a_writable_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0a1b"
    shutil.copy(built_in_model(), path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with model_file.readable(path) as readable:
        assert readable == path


def test_broken_link_is_an_error_with_its_name(tmp_path: Path) -> None:
    dangling, loop = tmp_path / "dangling.gguf", tmp_path / "loop.gguf"
    dangling.symlink_to("nowhere")
    loop.symlink_to("loop.gguf")
    with pytest.raises(ModelError, match="is a link to nowhere, and there is no such file there"):
        LocalEngine(LocalSettings(model=dangling))
    with pytest.raises(ModelError, match="Too many levels"):
        LocalEngine(LocalSettings(model=loop))


def test_folder_in_the_hub_cache_has_the_repositorys_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--org--some-int8-ov" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    link = tmp_path / "mine"
    link.symlink_to(snapshot)
    assert model_file.name(snapshot) == "some-int8-ov"
    assert model_file.name(link) == "mine"
    monkeypatch.chdir(tmp_path)
    assert model_file.name(Path()) == tmp_path.name
