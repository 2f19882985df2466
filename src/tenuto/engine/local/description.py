"""What a model file is, and which runtime would run it here: for people, without loading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tenuto.engine.local import model_file
from tenuto.engine.local.gguf import Gguf, ModelFileError
from tenuto.engine.local.runtime import INSTALL
from tenuto.engine.local.runtime_kind import is_installed
from tenuto.engine.local.runtimes import runtimes

# `general.file_type`, by its number: the mixture of types that the file was made with.
_MIXTURES: Final = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a model file.

    Attributes:
        architecture: For example `qwen2`; None if the file is not sound.
        quantisation: For example `Q4_K_M`; None if the file is not sound.
        context: Most tokens of prompt and completion together, as trained; None if unknown.
        runtime: For example `openvino` or `llama.cpp`; None if none can run it here.
        reason: Why there is no runtime, or why the file is not sound; else empty.
    """

    architecture: str | None
    quantisation: str | None
    context: int | None
    runtime: str | None
    reason: str


def describe(path: Path) -> Description:
    """Describes a model file. It never raises: what is wrong with a file is its description."""
    try:
        file = model_file.read(path)
    except ModelFileError as error:
        return Description(None, None, None, None, str(error))
    except OSError as error:
        return Description(None, None, None, None, error.strerror or str(error))
    try:
        return _describe(file)
    except (TypeError, ValueError, AttributeError) as error:
        # Metadata may hold any value in any place.
        reason = f"the metadata is damaged ({type(error).__name__})"
        return Description(None, None, None, None, reason)


def _describe(file: Gguf) -> Description:
    try:
        context = file.hyperparameter("context_length")
    except ModelFileError:
        context = None
    if reason := model_file.not_text(file):
        return Description(file.architecture, quantisation(file), context, None, reason)
    installed = [kind.label for kind in runtimes().values() if is_installed(kind)]
    runtime, reason = runtime_for(file, installed)
    return Description(file.architecture, quantisation(file), context, runtime, reason)


def quantisation(file: Gguf) -> str:
    """The mixture that the file says it is, or else the type that most of its bytes have."""
    said = _MIXTURES.get(file.metadata.get("general.file_type", -1))
    if said is not None:
        return said
    sizes = Counter[str]()
    for tensor in file.tensors:
        sizes[tensor.type] += tensor.length
    return sizes.most_common(1)[0][0]


def runtime_for(file: Gguf, installed: Sequence[str]) -> tuple[str | None, str]:
    """Return the runtime that would run a file, and why there is none.

    Args:
        file: The file.
        installed: Labels of the runtimes that are installed.
    """
    if not installed:
        return None, f"no runtime is installed; {INSTALL}"
    refusals: list[str] = []
    libraries: list[str] = []
    for kind in runtimes().values():
        refusal = kind.refusal(file)
        if kind.label not in installed:
            if not refusal:
                libraries.append(kind.library)
        elif refusal:
            refusals.append(f"{kind.title} does not read {refusal}")
        else:
            return kind.label, ""
    remedies = [f"pip install {libraries[0]}"] if libraries else []
    return None, "; ".join([*refusals, *remedies])
