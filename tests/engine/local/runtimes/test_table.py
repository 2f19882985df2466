"""A runtime is a module or a package in a folder, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtimes import NAMES, runtimes
from tenuto.settings import SettingsError, load

FILE = Gguf({"general.architecture": "llama"}, ())
FOLDER = IrModel({"general.architecture": "mamba"}, (), frozenset())


def test_runtimes_are_in_order_of_preference() -> None:
    assert list(runtimes()) == ["openvino", "llamacpp"]
    assert set(runtimes()) == set(NAMES)


@pytest.mark.parametrize("name", ["auto", *NAMES])
def test_settings_accept_the_names_of_the_table(name: str) -> None:
    assert load(environment={"TENUTO_ENGINE_LOCAL_RUNTIME": name}).engine.local.runtime == name


def test_settings_reject_other_names(tmp_path: Path) -> None:
    file = tmp_path / "tenuto.toml"
    file.write_text('[engine.local]\nruntime = "llama"\n')
    with pytest.raises(SettingsError) as refusal:
        load(file, {})
    assert str(refusal.value) == (
        f"{file}: [engine.local] runtime: Input should be 'auto', 'llamacpp' or 'openvino'"
    )


def test_runtime_rejects_formats_it_cannot_read() -> None:
    openvino, llamacpp = runtimes()["openvino"], runtimes()["llamacpp"]
    assert (openvino.refusal(FILE), llamacpp.refusal(FILE)) == ("", "")
    assert openvino.refusal(FOLDER) == ""
    assert llamacpp.refusal(FOLDER) == "folders of OpenVINO's"


def test_the_table_loads_no_library() -> None:
    program = (
        "from tenuto.engine.local.runtimes import runtimes; runtimes(); import sys;"
        "assert not sys.modules.keys() & {'openvino', 'openvino_genai', 'xllamacpp', 'numpy'}"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
