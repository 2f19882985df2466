from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tenuto.engine.local import choose
from tenuto.engine.local import runtime as runtime_module
from tenuto.engine.local.cpu import X86, Cpu
from tenuto.engine.local.gguf import Gguf, Tensor
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtime import (
    INSTALL,
    CannotLoad,
    Runtime,
    RuntimeOptions,
    TunedChoice,
)
from tenuto.engine.local.runtimes.llamacpp import runtime as llamacpp
from tenuto.engine.local.runtimes.openvino import runtime as openvino

OPTIONS = RuntimeOptions("model.gguf", 1)


# Large enough for the rules of processors.
READABLE = Gguf({"general.architecture": "llama"}, (Tensor("a", "Q8_0", 0, 34 * 10**8),))
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
    threads: int | None = None

    def encode(self, text: str) -> list[int]:
        if not self.tokenises:
            raise RuntimeError("of several\nlines")
        return [1]


def stand_in(loaded: choose.ChosenRuntime) -> object:
    return loaded.runtime


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
                return Loaded(name, name not in mute, options.threads)

            return load

        monkeypatch.setattr(
            runtime_module, "find_spec", lambda name: name if name in libraries else None
        )
        monkeypatch.setattr(openvino, "OpenVinoRuntime", library("openvino"))
        monkeypatch.setattr(llamacpp, "LlamaCppRuntime", library("llamacpp"))

    return install


BOTH = {"openvino_genai", "xllamacpp"}


@pytest.fixture(autouse=True)
def processor_on_which_openvino_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "cpu", lambda: Cpu(X86, frozenset({"avx2", "avx512_vnni"})))


@pytest.mark.parametrize(
    ("installed", "file", "chosen", "why"),
    [
        ({"openvino_genai"}, READABLE, "openvino", "AVX-512 VNNI"),
        ({"openvino_genai"}, SPLIT, "openvino", "llama.cpp is not installed"),
        ({"xllamacpp"}, READABLE, "llamacpp", "OpenVINO is not installed"),
        (BOTH, READABLE, "openvino", "AVX-512 VNNI"),
        (BOTH, SPLIT, "llamacpp", "OpenVINO does not read models in several files"),
        (BOTH, ODD_TYPE, "llamacpp", "OpenVINO does not read tensors of type IQ2_S"),
        (BOTH, ODD_ARCHITECTURE, "llamacpp", "OpenVINO does not read the architecture mamba"),
        (BOTH, FOLDER, "openvino", "OpenVINO's format"),
        ({"xllamacpp"}, FOLDER, "openvino", "OpenVINO's format"),
    ],
)
def test_preferred_installed_runtime_is_loaded_with_the_reason(
    install: Install, installed: set[str], file: Gguf, chosen: str, why: str
) -> None:
    install(installed)
    loaded = choose.load_runtime(OPTIONS, file)
    assert (loaded.name, loaded.note) == (chosen, "")
    assert stand_in(loaded) == Loaded(chosen, tokenises=True)
    assert loaded.why == why


@pytest.mark.parametrize("name", ["openvino", "llamacpp"])
def test_runtime_setting_is_used(install: Install, name: str) -> None:
    install(BOTH)
    loaded = choose.load_runtime(OPTIONS, SPLIT, name)
    assert (loaded.name, loaded.why, loaded.note) == (name, "", "")


def test_llama_cpp_is_not_tried_for_a_folder(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino"}))
    with pytest.raises(CannotLoad, match=r"^openvino cannot load this model$"):
        choose.load_runtime(OPTIONS, FOLDER)
    with pytest.raises(CannotLoad, match=r"^llama\.cpp does not read folders of OpenVINO"):
        choose.load_runtime(OPTIONS, FOLDER, "llamacpp")


def test_second_runtime_is_loaded_with_the_reason_of_the_first(install: Install) -> None:
    install(BOTH, broken=frozenset({"openvino"}))
    loaded = choose.load_runtime(OPTIONS, READABLE)
    assert (loaded.name, loaded.note) == ("llamacpp", "openvino cannot load this model")
    assert loaded.why == ""


def test_model_without_a_working_tokenizer_is_rejected(install: Install) -> None:
    install(BOTH, mute=frozenset({"openvino"}))
    loaded = choose.load_runtime(OPTIONS, READABLE)
    why = "openvino loads this model, but its tokenizer does not work (RuntimeError)"
    assert (loaded.name, loaded.note) == ("llamacpp", why)
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

    loaded = choose.load_runtime(OPTIONS, READABLE, probe=probe)
    assert (loaded.runtime, loaded.name) == (tried[1], "llamacpp")
    assert (
        loaded.note == "openvino cannot compute with this model here: could not create a primitive"
    )


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
    ("installed", "file", "attempts"),
    [
        (BOTH, READABLE, [("openvino", "llamacpp"), ("llamacpp", "")]),
        ({"openvino_genai"}, READABLE, [("openvino", "")]),
        (BOTH, FOLDER, [("openvino", "")]),
        (BOTH, ODD_ARCHITECTURE, [("llamacpp", "")]),
    ],
)
def test_each_attempt_is_reported_with_the_runtime_after_it(
    install: Install, installed: set[str], file: Gguf, attempts: list[tuple[str, str]]
) -> None:
    install(installed, broken=frozenset({"openvino", "llamacpp"}))
    seen: list[tuple[str, str]] = []
    with pytest.raises(CannotLoad):
        choose.load_runtime(OPTIONS, file, attempt=lambda *names: seen.append(names))
    assert seen == attempts


TUNED = TunedChoice("llamacpp", 3, "tuned on 2026-11-26")


def test_tuned_choice_precedes_the_rules(install: Install) -> None:
    install(BOTH)
    loaded = choose.load_runtime(OPTIONS, READABLE, tuned=TUNED)
    assert (loaded.name, loaded.why) == ("llamacpp", "tuned on 2026-11-26")
    assert stand_in(loaded) == Loaded("llamacpp", tokenises=True, threads=3)


@pytest.mark.parametrize(
    ("wanted", "threads", "name", "used"),
    [
        ("openvino", None, "openvino", None),
        ("llamacpp", None, "llamacpp", None),
        ("auto", 1, "llamacpp", 1),
    ],
)
def test_explicit_settings_precede_the_tuned_choice(
    install: Install, wanted: str, threads: int | None, name: str, used: int | None
) -> None:
    install(BOTH)
    options = replace(OPTIONS, threads=threads)
    loaded = choose.load_runtime(options, READABLE, wanted, tuned=TUNED)
    assert stand_in(loaded) == Loaded(name, tokenises=True, threads=used)


def test_tuned_threads_are_those_of_the_tuned_runtime_only(install: Install) -> None:
    install(BOTH, broken=frozenset({"llamacpp"}))
    loaded = choose.load_runtime(OPTIONS, READABLE, tuned=TUNED)
    assert stand_in(loaded) == Loaded("openvino", tokenises=True, threads=None)
    assert loaded.note == "llamacpp cannot load this model"


@pytest.mark.parametrize("tuned", [TunedChoice("gone", 1, "x"), TUNED])
def test_tuned_runtime_that_is_missing_is_ignored(install: Install, tuned: TunedChoice) -> None:
    install({"openvino_genai"})
    loaded = choose.load_runtime(OPTIONS, READABLE, tuned=tuned)
    assert loaded.name == "openvino"
