"""Which runtime loads a model: OpenVINO where it is installed, llama.cpp elsewhere."""

from __future__ import annotations

from importlib.util import find_spec

from tenuto.engine.local.frames import Load
from tenuto.engine.local.runtime.base import CannotLoad, Runtime


def load_runtime(load: Load) -> Runtime:
    """Loads the model with the fastest runtime that is installed.

    Raises:
        CannotLoad: None is installed, or it refuses the model.
    """
    if find_spec("openvino_genai"):
        from tenuto.engine.local.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(load)
    if find_spec("xllamacpp"):
        from tenuto.engine.local.runtime.llamacpp import LlamaCppRuntime

        return LlamaCppRuntime(load)
    raise CannotLoad(
        "the embedded engine is not installed (openvino_genai and xllamacpp are missing): "
        "pip install 'tenuto[local]'"
    )
