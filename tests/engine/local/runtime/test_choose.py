from __future__ import annotations

import sys

import pytest

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime import choose, llamacpp, openvino
from tenuto.engine.local.runtime.base import CannotLoad, Runtime

LOAD = Load("model.gguf", 1, 1, None, None)


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ({"openvino_genai"}, "openvino"),
        ({"xllamacpp"}, "llamacpp"),
        ({"openvino_genai", "xllamacpp"}, "openvino"),
    ],
)
def test_openvino_goes_first(
    monkeypatch: pytest.MonkeyPatch, installed: set[str], chosen: str
) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(openvino, "OpenVinoRuntime", lambda load: ("openvino", load))
    monkeypatch.setattr(llamacpp, "LlamaCppRuntime", lambda load: ("llamacpp", load))

    runtime: object = choose.load_runtime(LOAD)

    assert runtime == (chosen, LOAD)


def test_without_a_runtime_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    with pytest.raises(CannotLoad, match=r"pip install 'tenuto\[local\]'$"):
        choose.load_runtime(LOAD)


@pytest.mark.parametrize(
    ("runtime", "library"),
    [(openvino.OpenVinoRuntime, "openvino_genai"), (llamacpp.LlamaCppRuntime, "xllamacpp")],
)
def test_a_runtime_names_the_library_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, runtime: type[Runtime], library: str
) -> None:
    for name in ("numpy", "openvino"):  # these load first, wherever they are installed
        monkeypatch.setitem(sys.modules, name, sys)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(CannotLoad) as refusal:
        runtime(LOAD)  # type: ignore[call-arg]  # the protocol says nothing of making one
    assert str(refusal.value) == (
        f"the embedded engine is not installed ({library} is missing): pip install 'tenuto[local]'"
    )
