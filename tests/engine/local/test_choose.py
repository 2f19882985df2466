from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tenuto.engine.local import choose
from tenuto.engine.local import runtime as runtime_module
from tenuto.engine.local.gguf import Format, Gguf, Tensor
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtime import INSTALL, CannotLoad, Runtime, RuntimeOptions
from tenuto.engine.local.runtimes import runtimes
from tenuto.engine.local.runtimes.llamacpp import runtime as llamacpp
from tenuto.engine.local.runtimes.openvino import runtime as openvino

OPTIONS = RuntimeOptions("model.gguf", 1)


READABLE = Gguf({"general.architecture": "llama"}, (Tensor("a", "Q8_0", 0, 34),))
SPLIT = Gguf({"general.architecture": "llama", "split.count": 2}, READABLE.tensors)
ODD_TYPE = Gguf(READABLE.metadata, (Tensor("a", "IQ2_S", 0, 82),))
ODD_ARCHITECTURE = Gguf({"general.architecture": "mamba"}, READABLE.tensors)
FOLDER = IrModel({"general.architecture": "mamba"}, (), frozenset())

Install = Callable[..., None]


@dataclass(frozen=True)
class Loaded:
    """Stands for a runtime."""

    name: str
    tokenises: bool

    def encode(self, text: str) -> list[int]:
        if not self.tokenises:
            raise RuntimeError("of several\nlines")
        return [1]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Replace the installed libraries.

    `broken` ones refuse every model, `mute` ones load it and cannot tokenise.
    """

    def install(
        libraries: set[str],
        broken: frozenset[str] = frozenset(),
        mute: frozenset[str] = frozenset(),
    ) -> None:
        def library(name: str) -> Callable[[RuntimeOptions, Gguf], object]:
            def load(options: RuntimeOptions, file: Gguf) -> object:
                if name in broken:
                    raise CannotLoad(f"{name} cannot load this model")
                return Loaded(name, name not in mute)

            return load

        monkeypatch.setattr(
            runtime_module, "find_spec", lambda name: name if name in libraries else None
        )
        monkeypatch.setattr(openvino, "OpenVinoRuntime", library("openvino"))
        monkeypatch.setattr(llamacpp, "LlamaCppRuntime", library("llamacpp"))

    return install


BOTH = {"openvino_genai", "xllamacpp"}


@pytest.mark.parametrize(
    ("installed", "file", "chosen"),
    [
        ({"openvino_genai"}, READABLE, "openvino"),
        ({"openvino_genai"}, SPLIT, "openvino"),
        ({"xllamacpp"}, READABLE, "llamacpp"),
        (BOTH, READABLE, "openvino"),
        (BOTH, SPLIT, "llamacpp"),
        (BOTH, ODD_TYPE, "llamacpp"),
        (BOTH, ODD_ARCHITECTURE, "llamacpp"),
        (BOTH, FOLDER, "openvino"),
        ({"xllamacpp"}, FOLDER, "openvino"),
    ],
)
def test_fastest_readable_runtime_is_loaded(
    install: Install, installed: set[str], file: Gguf, chosen: str
) -> None:
    install(installed)
    loaded: tuple[object, ...] = choose.load_runtime(OPTIONS, file)
    assert loaded == (Loaded(chosen, tokenises=True), chosen, "")


@pytest.mark.parametrize("name", ["openvino", "llamacpp"])
def test_runtime_setting_is_used(install: Install, name: str) -> None:
    install(BOTH)
    loaded: tuple[object, ...] = choose.load_runtime(OPTIONS, SPLIT, name)
    assert loaded == (Loaded(name, tokenises=True), name, "")


def test_llama_cpp_is_not_tried_for_a_folder(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino"}))
    with pytest.raises(CannotLoad, match=r"^openvino cannot load this model$"):
        choose.load_runtime(OPTIONS, FOLDER)
    with pytest.raises(CannotLoad, match=r"^llama\.cpp does not read folders of OpenVINO"):
        choose.load_runtime(OPTIONS, FOLDER, "llamacpp")


def test_second_runtime_is_loaded_with_the_reason_of_the_first(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino"}))
    loaded: tuple[object, ...] = choose.load_runtime(OPTIONS, READABLE)
    assert loaded == (
        Loaded("llamacpp", tokenises=True),
        "llamacpp",
        "openvino cannot load this model",
    )


def test_model_without_a_working_tokenizer_is_rejected(install: Install) -> None:
    install(BOTH, mute=frozenset({"openvino"}))
    loaded: tuple[object, ...] = choose.load_runtime(OPTIONS, READABLE)
    why = "openvino loads this model, but its tokenizer does not work (RuntimeError)"
    assert loaded == (Loaded("llamacpp", tokenises=True), "llamacpp", why)
    install(BOTH, mute=frozenset({"openvino", "llamacpp"}))
    with pytest.raises(CannotLoad, match=r"^openvino loads .*; llamacpp loads [^\n]*$"):
        choose.load_runtime(OPTIONS, READABLE)


def test_error_of_all_runtimes_has_every_reason(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino", "llamacpp"}))
    with pytest.raises(CannotLoad, match=r"^openvino cannot .*; llamacpp cannot load this model$"):
        choose.load_runtime(OPTIONS, READABLE)


def test_runtime_that_fails_its_probe_is_replaced_by_the_next(install: Install) -> None:
    install(BOTH)
    tried: list[object] = []

    def probe(runtime: Runtime) -> None:
        tried.append(runtime)
        if len(tried) == 1:
            raise RuntimeError("could not create\n a primitive")

    runtime, name, note = choose.load_runtime(OPTIONS, READABLE, probe=probe)
    assert (runtime, name) == (tried[1], "llamacpp")
    assert note == "openvino cannot compute with this model here: could not create a primitive"


def test_configured_runtime_has_no_fallback(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino"}))
    with pytest.raises(CannotLoad, match=r"^openvino cannot load this model$"):
        choose.load_runtime(OPTIONS, READABLE, "openvino")


def test_error_without_a_runtime_has_the_remedy(install: Install) -> None:
    install(set())
    with pytest.raises(CannotLoad, match=r"pip install '\.\[local\]'$"):
        choose.load_runtime(OPTIONS, READABLE)


@pytest.mark.parametrize(
    ("runtime", "library"),
    [(openvino.OpenVinoRuntime, "openvino_genai"), (llamacpp.LlamaCppRuntime, "xllamacpp")],
)
def test_error_of_a_missing_library_has_its_name(
    monkeypatch: pytest.MonkeyPatch, runtime: type[Runtime], library: str
) -> None:
    for name in ("numpy", "openvino"):  # these load first, wherever they are installed
        monkeypatch.setitem(sys.modules, name, sys)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CannotLoad) as refusal:
        runtime(OPTIONS, READABLE)  # type: ignore[call-arg]  # the protocol says nothing of making one
    assert str(refusal.value) == (
        f"the embedded engine is not installed ({library} is missing); {INSTALL}"
    )


@pytest.mark.parametrize(
    ("installed", "file_format", "after"),
    [
        (BOTH, "gguf", "llamacpp"),
        ({"openvino_genai"}, "gguf", None),
        (BOTH, "ir", None),
    ],
)
def test_next_runtime_after_a_crash_reads_the_format(
    install: Install, installed: set[str], file_format: Format, after: str | None
) -> None:
    install(installed)
    assert choose.next_after("openvino", file_format) == after
    assert choose.next_after("llamacpp", file_format) is None


def test_no_runtime_is_skipped_after_a_crash(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(BOTH)
    table = runtimes()
    third = replace(table["llamacpp"], rank=99)
    monkeypatch.setattr(choose, "runtimes", lambda: {**table, "third": third})
    assert choose.next_after("openvino", "gguf") == "llamacpp"
    assert choose.next_after("llamacpp", "gguf") == "third"
