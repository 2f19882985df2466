"""llama.cpp, through the C API in the library of the wheel xllamacpp, for all GGUF files."""

from __future__ import annotations

from typing import Final

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.runtime import Runtime, RuntimeKind, RuntimeOptions


def _load(options: RuntimeOptions, file: Gguf) -> Runtime:
    from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime

    return LlamaCppRuntime(options, file)


RUNTIME: Final = RuntimeKind(
    title="llama.cpp", library="xllamacpp", rank=20, formats=frozenset({"gguf"}), load=_load
)
