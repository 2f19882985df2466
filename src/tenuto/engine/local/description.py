"""Describe a model file, and the runtime that would run it here, without loading it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from tenuto.engine.local import model_file
from tenuto.engine.local.choose import AUTO, candidates
from tenuto.engine.local.gguf import Gguf, ModelFileError, problem
from tenuto.engine.local.runtime import INSTALL, NOT_TUNED, TunedChoice
from tenuto.engine.local.runtimes import runtimes
from tenuto.engine.local.tensor_types import FILE_TYPES
from tenuto.engine.local.tuning import ModelTuning


@dataclass(frozen=True, slots=True)
class Description:
    """Description of a model file; without architecture and quantisation if it is invalid.

    Attributes:
        architecture: For example `qwen2`.
        quantisation: For example `Q4_K_M`.
        context: Maximal tokens of prompt and completion together, as trained; None if unknown.
        runtime: `openvino` or `llama.cpp`; None if no installed runtime can run it.
        reason: Reason for a missing runtime or an invalid file; else empty.
        why: Why `auto` chooses the runtime, in a few words.
        tuning: The result of `tenuto tune`, a phrase; "" without one.
    """

    architecture: str | None
    quantisation: str | None
    context: int | None
    runtime: str | None
    reason: str
    why: str = ""
    tuning: str = ""


def describe(path: Path, tunings: Path | None = None) -> Description:
    """Describe a model file. Never raises: an invalid file is described by its error.

    `tunings` is the folder of tunings, if there is one.
    """
    try:
        tuning = ModelTuning(path, tunings)
        described = _describe(model_file.read(path), tuning.choice())
        return replace(described, tuning=str(tuning))
    except (ModelFileError, OSError) as error:
        reason = problem(path, error)
    except (TypeError, ValueError, AttributeError) as error:
        # Metadata may hold any value in any place.
        reason = f"the metadata is damaged ({type(error).__name__})"
    return Description(None, None, None, None, reason)


def _describe(file: Gguf, tuned: TunedChoice) -> Description:
    try:
        context = file.hyperparameter("context_length")
    except ModelFileError:
        context = None
    facts = file.architecture, quantisation(file), context
    if reason := model_file.not_text(file):
        return Description(*facts, None, reason)
    runtime, text = runtime_for(file, tuned)
    return Description(*facts, runtime, "", text) if runtime else Description(*facts, None, text)


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


def runtime_for(file: Gguf, tuned: TunedChoice = NOT_TUNED) -> tuple[str | None, str]:
    """Return the runtime that `auto` chooses for a file, or None, and the reason."""
    kinds = list(runtimes().values())
    readers = [kind for kind in kinds if not kind.refusal(file)]
    installed = [kind for kind in kinds if kind.installed]
    if any(kind.installed for kind in readers):
        best = candidates(AUTO, file, tuned)[0]
        return runtimes()[best.runtime].title.lower(), best.why
    if not installed:
        return None, f"no runtime is installed; {INSTALL}"
    reasons = [f"{kind.title} does not read {kind.refusal(file)}" for kind in installed]
    reasons += [f"pip install {kind.library}" for kind in readers[:1]]
    return None, "; ".join(reasons)
