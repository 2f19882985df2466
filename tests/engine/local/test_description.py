from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tenuto.engine.local.description import Description, describe, quantisation, runtime_for
from tenuto.engine.local.engine import built_in_model
from tenuto.engine.local.gguf import Gguf, Tensor
from tenuto.engine.registry import built_in

BOTH = ["openvino", "llama.cpp"]


def model(*types: str, architecture: str = "qwen2", **metadata: Any) -> Gguf:
    tensors = [Tensor(str(n), kind, 0, 100) for n, kind in enumerate(types or ("F32", "Q8_0"))]
    keys = {key.replace("_", ".", 1): value for key, value in metadata.items()}
    return Gguf({"general.architecture": architecture, **keys}, tuple(tensors))


def test_the_built_in_model_is_described() -> None:
    name, path = built_in()
    found = describe(path)
    assert name == "tenuto-mini"
    assert (found.architecture, found.quantisation, found.context) == ("llama", "Q8_0", 2048)
    assert found.runtime
    assert found.reason == ""


def test_what_is_wrong_with_a_file_is_its_description(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    assert describe(path) == Description(None, None, None, None, "No such file or directory")
    path.write_bytes(built_in_model().read_bytes()[:5000])
    assert "truncated" in describe(path).reason


@pytest.mark.parametrize(
    ("file", "name"),
    [
        (model("Q4_K", "Q6_K", general_file_type=15), "Q4_K_M"),
        (model("F32", "Q8_0", "Q8_0"), "Q8_0"),
        (model("F32", "IQ4_XS", "IQ4_XS", general_file_type=999), "IQ4_XS"),
    ],
)
def test_the_quantisation_is_what_the_file_says_or_mostly_holds(file: Gguf, name: str) -> None:
    assert quantisation(file) == name


@pytest.mark.parametrize(
    ("file", "without_llamacpp"),
    [
        (model(architecture="gemma3"), "the architecture gemma3"),
        # Small Qwen models in Q4_K_M: their rows are no multiple of 256.
        (model("F32", "Q4_K", "Q5_0"), "tensors of type Q5_0"),
        (model(split_count=3), "models in several files"),
    ],
)
def test_what_openvino_cannot_read_is_for_llamacpp(file: Gguf, without_llamacpp: str) -> None:
    assert runtime_for(file, BOTH) == ("llama.cpp", "")
    runtime, reason = runtime_for(file, ["openvino"])
    assert runtime is None
    assert reason == f"OpenVINO does not read {without_llamacpp}; pip install xllamacpp"


@pytest.mark.parametrize("file", [model(), model("F16"), model("Q4_0", split_count=1)])
def test_what_openvino_reads_it_runs_where_it_is_installed(file: Gguf) -> None:
    assert runtime_for(file, BOTH) == ("openvino", "")
    assert runtime_for(file, ["llama.cpp"]) == ("llama.cpp", "")


def test_without_any_runtime_the_remedy_is_named() -> None:
    assert runtime_for(model(), []) == (
        None,
        "no runtime is installed: pip install 'tenuto[local]'",
    )
