"""Stored choices: valid for the file, the processor and the versions of the measurement alone."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenuto.core.refusal import ModelError
from tenuto.engine.local import tunable as tunable_module
from tenuto.engine.local import tuning as tuning_module
from tenuto.engine.local.cpu import X86, Cpu
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import NOT_TUNED, CannotLoad, TunedChoice
from tenuto.engine.local.tunable import tunable
from tenuto.engine.local.tuning import STALE, ModelTuning

HERE = Cpu(X86, frozenset({"avx2"}), "AMD EPYC", 2)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF")
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tuning_module, "cpu", lambda: HERE)
    return tmp_path / "models" / ".tuning"


def keep(model: Path, folder: Path) -> ModelTuning:
    tuning = ModelTuning(model, folder)
    tuning.keep("llamacpp", 2, "few", "1.4 times OpenVINO at 8 streams")
    return tuning


def test_stored_choice_is_that_of_later_starts(model: Path, folder: Path) -> None:
    assert ModelTuning(model, folder).choice() == NOT_TUNED
    assert str(ModelTuning(model, folder)) == ""
    kept = keep(model, folder).stored
    assert kept is not None
    found = ModelTuning(model, folder)
    assert found.stored == kept
    assert found.choice() == TunedChoice("llamacpp", 2, f"tuned on {kept.date}")
    text = f"tuned: llama.cpp, 2 threads, 1.4 times OpenVINO at 8 streams, {kept.date}"
    assert str(found) == text


def test_file_is_private_and_alone(model: Path, folder: Path) -> None:
    path = keep(model, folder).path
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert list(folder.iterdir()) == [path]


def test_link_to_a_model_has_its_tuning(model: Path, folder: Path) -> None:
    keep(model, folder)
    link = model.with_name("link.gguf")
    link.symlink_to(model)
    assert ModelTuning(link, folder).choice().runtime == "llamacpp"


def test_models_have_tunings_of_their_own(model: Path, folder: Path) -> None:
    keep(model, folder)
    other = model.with_name("other.gguf")
    shutil.copy2(model, other)
    assert ModelTuning(other, folder).stored is None


def changed_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.write_bytes(b"GGUF!")


def touched_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.utime(model, ns=(0, 0))


def deleted_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model.unlink()


def other_processor(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "cpu", lambda: replace(HERE, model="Other"))


def other_class(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "cpu", lambda: replace(HERE, features=frozenset()))


def fewer_cores(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "cpu", lambda: replace(HERE, cores=1))


def other_library(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "_version", lambda library: "9")


def other_tenuto(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning_module, "__version__", "9")


@pytest.mark.parametrize(
    "change",
    [
        changed_file,
        touched_file,
        deleted_file,
        other_processor,
        other_class,
        fewer_cores,
        other_library,
        other_tenuto,
    ],
)
def test_stale_choice_is_ignored_without_a_warning(
    model: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: Any,
) -> None:
    keep(model, folder)
    change(model, monkeypatch)
    found = ModelTuning(model, folder)
    assert found.choice() == NOT_TUNED
    assert str(found) == STALE
    assert not [record for record in caplog.records if record.levelname != "DEBUG"]


def stored(model: Path, folder: Path) -> dict[str, Any]:
    path = keep(model, folder).path
    assert path is not None
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def replaced(model: Path, folder: Path, content: bytes) -> ModelTuning:
    path = ModelTuning(model, folder).path
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return ModelTuning(model, folder)


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": 1},
        {"runtime": "x" * 300},
        {"threads": 0},
        {"threads": 10**9},
        {"threads": "2"},
        {"date": "2026\n11"},
        {"comparison": "\x1b[31m"},
        {"origin": {}},
        {"origin": {"file": "", "processor": "", "versions": {"a": 1}}},
        {"format": None},
    ],
    ids=str,
)
def test_damaged_file_is_ignored_with_a_line(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    content = {**stored(model, folder), **change}
    found = replaced(model, folder, json.dumps(content).encode())
    assert found.choice() == NOT_TUNED
    assert str(found) == ""
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{found.path} is ignored: it is damaged; run `tenuto tune` again"
    )


@given(data=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_are_ignored(model: Path, folder: Path, data: bytes) -> None:
    assert replaced(model, folder, data).choice() == NOT_TUNED


def test_deeply_nested_file_is_ignored(model: Path, folder: Path) -> None:
    assert replaced(model, folder, b"[" * 60_000).choice() == NOT_TUNED


def test_unreadable_file_is_ignored_with_its_error(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = ModelTuning(model, folder).path
    assert path is not None
    path.mkdir(parents=True)
    assert ModelTuning(model, folder).choice() == NOT_TUNED
    assert "is ignored: Is a directory" in caplog.text


def test_file_of_another_layout_is_ignored_without_a_line(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert replaced(model, folder, b'{"format": 2, "new": true}').choice() == NOT_TUNED
    assert not caplog.records


def test_damaged_file_can_be_replaced_and_forgotten(model: Path, folder: Path) -> None:
    damaged = replaced(model, folder, b"{")
    assert keep(model, folder).is_valid
    assert damaged.forget()
    assert not damaged.forget()
    assert ModelTuning(model, folder).stored is None


def test_interrupted_write_leaves_the_tuning_before_it(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keep(model, folder).stored

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ModelTuning(model, folder).keep("openvino", 1, "one", "")
    found = ModelTuning(model, folder)
    assert found.stored == before
    assert list(folder.iterdir()) == [found.path]


def test_without_a_folder_nothing_is_kept(model: Path) -> None:
    tuning = ModelTuning(model, None)
    assert tuning.choice() == NOT_TUNED
    assert not tuning.forget()


def test_runtimes_of_the_built_in_model_can_be_tuned() -> None:
    pytest.importorskip("xllamacpp")
    found = tunable(built_in_model())
    assert found.runtimes["llamacpp"] == "llama.cpp"
    assert found.small
    assert found.cores >= 1


def test_damaged_model_cannot_be_tuned(model: Path) -> None:
    with pytest.raises(ModelError, match="truncated"):
        tunable(model)


def test_model_without_a_runtime_cannot_be_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise CannotLoad("the embedded engine is not installed")

    monkeypatch.setattr(tunable_module, "candidates", none)
    with pytest.raises(ModelError, match=r"tenuto-mini\.gguf: the embedded engine is not inst"):
        tunable(built_in_model())
