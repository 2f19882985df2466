"""llama.cpp's C API, in the library of the wheel xllamacpp, for all GGUF files."""

from __future__ import annotations

from typing import Final

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.runtime import Runtime, RuntimeKind, RuntimeOptions


def _load(options: RuntimeOptions, file: Gguf) -> Runtime:
    from tenuto.engine.local.runtimes.libllama.runtime import LibLlamaRuntime

    return LibLlamaRuntime(options, file)


RUNTIME: Final = RuntimeKind(
    title="llama.cpp's C API",
    library="xllamacpp",
    rank=30,
    formats=frozenset({"gguf"}),
    load=_load,
)
