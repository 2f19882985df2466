"""Describe a model file, and the runtime that would run it here, without loading it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tenuto.engine.local import model_file
from tenuto.engine.local.gguf import Gguf, ModelFileError, problem
from tenuto.engine.local.runtime import INSTALL
from tenuto.engine.local.runtimes import runtimes
from tenuto.engine.local.tensor_types import FILE_TYPES


@dataclass(frozen=True, slots=True)
class Description:
    """Description of a model file; without architecture and quantisation if it is invalid.

    Attributes:
        architecture: For example `qwen2`.
        quantisation: For example `Q4_K_M`.
        context: Maximal tokens of prompt and completion together, as trained; None if unknown.
        runtime: `openvino` or `llama.cpp`; None if no installed runtime can run it.
        reason: Reason for a missing runtime or an invalid file; else empty.
    """

    architecture: str | None
    quantisation: str | None
    context: int | None
    runtime: str | None
    reason: str


def describe(path: Path) -> Description:
    """Describe a model file. Never raises: an invalid file is described by its error."""
    try:
        return _describe(model_file.read(path))
    except (ModelFileError, OSError) as error:
        reason = problem(path, error)
    except (TypeError, ValueError, AttributeError) as error:
        # Metadata may hold any value in any place.
        reason = f"the metadata is damaged ({type(error).__name__})"
    return Description(None, None, None, None, reason)


def _describe(file: Gguf) -> Description:
    try:
        context = file.hyperparameter("context_length")
    except ModelFileError:
        context = None
    runtime, reason = None, model_file.not_text(file)
    if not reason:
        runtime, reason = runtime_for(file)
    return Description(file.architecture, quantisation(file), context, runtime, reason)


def quantisation(file: Gguf) -> str | None:
    """Return the file type in the metadata, or else the type of most of the file's bytes.

    None for folders of OpenVINO's, which list no tensors.
    """
    if name := FILE_TYPES.get(file.metadata.get("general.file_type", -1)):
        return name
    sizes = Counter[str]()
    for tensor in file.tensors:
        sizes[tensor.type] += tensor.length
    return max(sizes, key=sizes.__getitem__, default=None)


def runtime_for(file: Gguf) -> tuple[str | None, str]:
    """Return the runtime that would run a file, or None and the reason."""
    kinds = list(runtimes().values())
    readers = [kind for kind in kinds if not kind.refusal(file)]
    for kind in readers:
        if kind.installed:
            return kind.title.lower(), ""
    installed = [kind for kind in kinds if kind.installed]
    if not installed:
        return None, f"no runtime is installed; {INSTALL}"
    reasons = [f"{kind.title} does not read {kind.refusal(file)}" for kind in installed]
    reasons += [f"pip install {kind.library}" for kind in readers[:1]]
    return None, "; ".join(reasons)
