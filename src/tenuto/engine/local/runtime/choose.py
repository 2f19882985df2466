"""Which runtime loads a model: OpenVINO if it is installed and reads it, llama.cpp otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec

from tenuto.core.job import Sampling
from tenuto.engine.local import split
from tenuto.engine.local.frames import Load
from tenuto.engine.local.gguf import Gguf, GgufError
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtime.base import INSTALL, UNKNOWN_ID, CannotLoad, Runtime

# What OpenVINO's reader of GGUF files knows, as measured with release 2026.4.
_OPENVINO_ARCHITECTURES = frozenset({"llama", "qwen2", "qwen3"})
_OPENVINO_TYPES = frozenset({"F32", "F16", "Q8_0", "Q4_0", "Q4_1", "Q4_K", "Q6_K"})

# A key that no job has, and how long its one token may take.
# Characters of what a library says.
_LONGEST_REASON = 200
_PROBE = 2**62
_PROBE_S = 60.0

_OPENVINO_TOKENIZER = "gpt2"

_ANY_TEXT = "\n\nHuman: Hello, 1 \N{GRINNING FACE}!\n\nAssistant:"

_LIBRARIES = {"openvino": "openvino_genai", "llamacpp": "xllamacpp"}


def load_runtime(
    load: Load, file: Gguf, probe: Callable[[Runtime], object] = lambda _: None
) -> tuple[Runtime, str, str]:
    """Loads a model with the fastest runtime that is installed and reads it.

    Args:
        load: The model's path, and its limits.
        file: What the model says of itself.
        probe: Is called with the runtime. Where it raises, the runtime cannot compute with the
            model on this processor, which some libraries notice only then.

    Returns:
        The runtime, its name, and why it is not the first choice, or "".

    Raises:
        CannotLoad: None is installed, or all refuse the model.
    """
    names = candidates(load.runtime, file)
    refusals: list[str] = []
    for name in names:
        try:
            runtime = _load(name, load, file)
            _try(name, runtime, probe)
            return runtime, name, "; ".join(refusals)
        except (CannotLoad, GgufError) as error:
            refusals.append(str(error))
    # Joined, because the one who asks may be able to help either.
    raise CannotLoad("; ".join(refusals))


def candidates(wanted: str, file: Gguf) -> list[str]:
    """The runtimes to try, in order.

    Raises:
        CannotLoad: There is none.
    """
    if isinstance(file, IrModel):
        if wanted == "llamacpp":
            raise CannotLoad("llama.cpp reads GGUF files only, and this is a folder of OpenVINO's")
        return ["openvino"]
    if wanted != "auto":
        return [wanted]
    installed = [name for name, library in _LIBRARIES.items() if find_spec(library)]
    if not installed:
        raise CannotLoad(
            "the embedded engine is not installed (openvino_genai and xllamacpp are missing); "
            + INSTALL
        )
    if installed[1:] and openvino_refuses(file):
        return installed[1:]
    return installed


def openvino_refuses(file: Gguf) -> str:
    """What of a GGUF file OpenVINO cannot read; empty if it can read all."""
    if file.architecture not in _OPENVINO_ARCHITECTURES:
        return f"the architecture {file.architecture}"
    if split.is_split(file):
        return "models in several files"
    tokenizer = file.metadata.get("tokenizer.ggml.model", _OPENVINO_TOKENIZER)
    if tokenizer != _OPENVINO_TOKENIZER:
        return f"the tokenizer {tokenizer}"
    if UNKNOWN_ID in file.stray_token_ids():
        return f"a file whose {UNKNOWN_ID} is not in the vocabulary"
    unknown = sorted(file.tensor_types - _OPENVINO_TYPES)
    return f"tensors of type {', '.join(unknown)}" if unknown else ""


def _load(name: str, load: Load, file: Gguf) -> Runtime:
    # Late: only the library that is used is imported.
    runtime: Runtime
    if name == "openvino":
        from tenuto.engine.local.runtime.openvino import OpenVinoRuntime

        runtime = OpenVinoRuntime(load, file)
    else:
        from tenuto.engine.local.runtime.llamacpp import LlamaCppRuntime

        runtime = LlamaCppRuntime(load, file)
    try:
        # A library may take a damaged vocabulary, and fail with it only when it is used.
        runtime.encode(_ANY_TEXT)
    except Exception as error:
        raise CannotLoad(
            f"{name} loads this model, but its tokenizer does not work ({type(error).__name__})"
        ) from None
    return runtime


def _try(name: str, runtime: Runtime, probe: Callable[[Runtime], object]) -> None:
    try:
        probe(runtime)
    except Exception as error:
        reason = " ".join(str(error).split())[-_LONGEST_REASON:]
        raise CannotLoad(f"{name} cannot compute with this model here: {reason}") from None


def computes_numbers(runtime: Runtime) -> bool:
    """Return whether a model's probabilities are numbers, from its first token after another.

    Damaged weights can make all of them NaN. Then a library writes one token for ever, or any.
    """
    # Not one that prompts begin with: nothing of theirs may be in a cache yet.
    prompt = runtime.encode("\0")[-1:]
    runtime.begin(_PROBE, prompt, 1, Sampling(0.0, None, None, seed=1, logprobs=0))
    until = time.monotonic() + _PROBE_S
    while time.monotonic() < until:
        for delta in runtime.step():
            if delta.ending is not None:
                return delta.ending != "broke"
    runtime.cancel(_PROBE)
    return True
