from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenuto.core.refusal import ModelError
from tenuto.engine.local import choose, model_file
from tenuto.engine.local import runtime as runtime_module
from tenuto.engine.local.cpu import X86, Cpu
from tenuto.engine.local.description import Description, describe, quantisation, runtime_for
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.gguf import Gguf, Tensor
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import INSTALL, TunedChoice
from tenuto.engine.registry import built_in
from tenuto.settings import LocalSettings
from tests.split_files import put_together, take_apart
from tests.vocabularies import with_metadata

BOTH = {"openvino_genai", "xllamacpp"}
NO_OPENVINO = "OpenVINO is not installed"

Install = Callable[[set[str]], None]


@pytest.fixture(autouse=True)
def processor_on_which_openvino_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "cpu", lambda: Cpu(X86, frozenset({"avx2", "avx512_vnni"})))


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Replace the set of installed libraries."""

    def install(libraries: set[str]) -> None:
        monkeypatch.setattr(
            runtime_module, "find_spec", lambda name: name if name in libraries else None
        )

    return install


def model(*types: str, architecture: str = "qwen2", **metadata: Any) -> Gguf:
    tensors = [Tensor(str(n), kind, 0, 10**9) for n, kind in enumerate(types or ("F32", "Q8_0"))]
    keys = {
        key.replace("_", ".", 2 if key.startswith("tokenizer") else 1): value
        for key, value in metadata.items()
    }
    return Gguf({"general.architecture": architecture, **keys}, tuple(tensors))


def test_the_built_in_model_is_described() -> None:
    name, path = built_in()
    found = describe(path)
    assert name == "tenuto-mini"
    assert (found.architecture, found.quantisation, found.context) == ("llama", "Q8_0", 2048)
    assert found.runtime
    assert (found.reason, found.why) == ("", "small file")


def test_description_of_a_damaged_file_has_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    assert describe(path) == Description(None, None, None, None, "there is no such file")
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
def test_quantisation_is_declared_or_that_of_most_tensors(file: Gguf, name: str) -> None:
    assert quantisation(file) == name


def test_openvino_folder_is_described_without_a_quantisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = IrModel(
        {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2"}, (), frozenset()
    )
    monkeypatch.setattr(model_file, "read", lambda path: folder)
    found = describe(tmp_path)
    assert (found.architecture, found.quantisation) == ("llama", None)
    assert found.reason or found.runtime


@pytest.mark.parametrize(
    ("file", "without_llamacpp"),
    [
        (model(architecture="gemma3"), "the architecture gemma3"),
        # Small Qwen models in Q4_K_M: their rows are no multiple of 256.
        (model("F32", "Q4_K", "Q5_0"), "tensors of type Q5_0"),
        (model(split_count=3), "models in several files"),
    ],
)
def test_file_unreadable_for_openvino_runs_on_llamacpp(
    install: Install, file: Gguf, without_llamacpp: str
) -> None:
    install(BOTH)
    assert runtime_for(file) == ("llama.cpp", f"OpenVINO does not read {without_llamacpp}")
    install({"openvino_genai"})
    runtime, reason = runtime_for(file)
    assert runtime is None
    assert reason == f"OpenVINO does not read {without_llamacpp}; pip install xllamacpp"


@pytest.mark.parametrize("file", [model(), model("F16"), model("Q4_0", split_count=1)])
def test_file_readable_for_openvino_runs_on_it_if_installed(install: Install, file: Gguf) -> None:
    install(BOTH)
    assert runtime_for(file) == ("openvino", "AVX-512 VNNI")
    assert runtime_for(file, TunedChoice("llamacpp", 2, "tuned")) == ("llama.cpp", "tuned")
    install({"xllamacpp"})
    assert runtime_for(file) == ("llama.cpp", NO_OPENVINO)


def test_reason_without_a_runtime_has_the_remedy(install: Install) -> None:
    install(set())
    assert runtime_for(model()) == (None, f"no runtime is installed; {INSTALL}")


TEXT = {"tokenizer.ggml.model": "gpt2"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"general.type": "adapter"}, "an adapter (LoRA), which changes another model"),
        ({"general.type": "mmproj"}, "a projector, which lets another model see or hear"),
        ({"general.type": "imatrix"}, "an importance matrix, which serves to quantise a model"),
        ({"general.type": "odd"}, "a file of type 'odd'"),
        ({"general.architecture": "clip"}, "a projector, which lets another model see or hear"),
        ({"general.architecture": "bert"}, "an embedding model (bert)"),
        ({"general.architecture": "nomic-bert-moe"}, "an embedding model (nomic-bert-moe)"),
        ({"general.architecture": "t5encoder"}, "an encoder (t5encoder)"),
        ({"general.architecture": "llada"}, "a diffusion model (llada)"),
        ({"llama.pooling_type": 3}, "an embedding model (llama)"),
        ({"tokenizer.ggml.model": None}, "a model without a vocabulary (llama)"),
        ({"tokenizer.ggml.model": "no_vocab"}, "a model without a vocabulary (llama)"),
    ],
)
def test_error_of_another_type_of_model_has_the_type(
    tmp_path: Path, changes: dict[str, Any], what: str
) -> None:
    path = with_metadata(tmp_path / "m.gguf", changes)
    reason = f"not a model that completes text: it is {what}"
    with pytest.raises(ModelError) as refusal:
        LocalEngine(LocalSettings(model=path))
    assert str(refusal.value) == f"{path}: {reason}"
    found = describe(path)
    assert (found.runtime, found.reason) == (None, reason)


def test_file_without_architecture_or_tensors_is_not_a_model(tmp_path: Path) -> None:
    path = with_metadata(
        tmp_path / "i.gguf", {"general.architecture": None, "general.type": "imatrix"}
    )
    assert describe(path).reason.endswith(
        "not a model that completes text, but of the type imatrix"
    )
    whole = take_apart(built_in_model().read_bytes())
    path.write_bytes(put_together(whole.pairs, ()))
    assert describe(path).reason == (
        "the file has no tensors, only a vocabulary: not a model that completes text"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"general.file_type": [1]},
        {"llama.pooling_type": "x"},
        {"general.type": [1]},
        {"llama.context_length": "x"},
        {"tokenizer.ggml.tokens": 3},
        {"tokenizer.ggml.model": [1]},
    ],
    ids=str,
)
def test_description_is_made_for_any_metadata(tmp_path: Path, changes: dict[str, Any]) -> None:
    found = describe(with_metadata(tmp_path / "m.gguf", changes))
    assert found.reason or found.runtime


def test_sentencepiece_tokenizer_runs_on_llamacpp(install: Install) -> None:
    install(BOTH)
    runtime, why = runtime_for(model(**{"tokenizer_ggml.model": "llama"}))
    assert (runtime, why) == ("llama.cpp", "OpenVINO does not read the tokenizer llama")


@pytest.mark.parametrize(
    "value",
    [4294967295, 4096, (5, b"\xff\xff\xff\xff"), "<s>", True, [0]],
    ids=str,
)
def test_token_ids_that_are_not_in_the_vocabulary_count_as_missing(
    tmp_path: Path, value: Any
) -> None:
    names = ("bos", "eos", "eot", "eom", "padding", "unknown")
    keys = [f"tokenizer.ggml.{name}_token_id" for name in names]
    file = model_file.read(with_metadata(tmp_path / "m.gguf", dict.fromkeys(keys, value)))
    assert [file.token_id(name) for name in names] == [None] * len(names)
    warnings = model_file.warnings(file)
    assert len(warnings) == len(names)
    assert all("the vocabulary has 4096 tokens: it counts as missing" in each for each in warnings)


def test_missing_pre_tokenizer_is_a_warning(tmp_path: Path) -> None:
    file = model_file.read(with_metadata(tmp_path / "m.gguf", {"tokenizer.ggml.pre": None}))
    (warning,) = model_file.warnings(file)
    assert "tokenizer.ggml.pre is missing" in warning
    assert model_file.warnings(model_file.read(built_in_model())) == []
