"""The library is checked before it is used, because its structs change between releases."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.runtimes.llamacpp import capi, structs
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tests.engine.local.runtimes.contract import load, made

pytest.importorskip("xllamacpp")

ROOT = Path(__file__).parents[4]


def test_installed_release_has_known_structs() -> None:
    installed = version("xllamacpp")
    assert installed in capi.RELEASES, (
        f"compare `structs.py` with `include/llama.h` of xllamacpp {installed}, then add it to "
        "`RELEASES` in `capi.py` and pin it in `pyproject.toml`"
    )


@pytest.mark.parametrize("file", ["pyproject.toml", "constraints/run.txt", "constraints/dev.txt"])
def test_only_known_releases_are_pinned(file: str) -> None:
    pins = re.findall(r"xllamacpp==([\w.]+)", (ROOT / file).read_text())
    assert pins
    assert capi.RELEASES.issuperset(pins)


def test_other_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    (release,) = capi.RELEASES
    monkeypatch.setattr(capi, "RELEASES", frozenset({"2099.1.1"}))
    with pytest.raises(CannotLoad) as refusal:
        made(LlamaCppRuntime, load())
    assert str(refusal.value).startswith(f"xllamacpp {release} is not supported; install xllamacpp")


def test_library_without_a_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(capi.FUNCTIONS, "function_of_another_release", (None, ()))
    with pytest.raises(
        CannotLoad, match=r"^xllamacpp lacks llama\.cpp's C API: [^\n]+$"
    ) as refusal:
        capi.Library(capi.library().path)
    assert "llama_function_of_another_release" in str(refusal.value)


@pytest.mark.parametrize("table", ["MODEL_DEFAULTS", "CONTEXT_DEFAULTS"])
def test_library_with_another_default_is_refused(
    monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    known = getattr(structs, table)
    for name, value in known.items():
        monkeypatch.setattr(structs, table, {**known, name: value + 1})
        with pytest.raises(CannotLoad) as refusal:
            capi.Library(capi.library().path)
        message = str(refusal.value)
        assert message.startswith("the structs of this llama.cpp are unknown: the default of ")
        assert f".{name} is " in message
        assert "\n" not in message


def test_library_that_misreads_the_parameters_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capi.library(), "n_threads", lambda context: 77)
    with pytest.raises(CannotLoad) as refusal:
        made(LlamaCppRuntime, load())
    assert str(refusal.value) == "llama.cpp reports n_threads 77 instead of 1"


def test_error_lines_of_the_library_are_kept(tmp_path: Path) -> None:
    library = capi.library()
    library.errors.clear()
    path = str(tmp_path / "missing.gguf").encode()
    assert not library.model_load_from_file(path, library.model_default_params())
    assert "missing.gguf" in "".join(library.errors)
