"""Load a model with the preferred runtime that is installed and reads the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tenuto.core.job import Sampling
from tenuto.engine.local.gguf import Format, Gguf, ModelFileError
from tenuto.engine.local.runtime import (
    CannotLoad,
    Runtime,
    RuntimeOptions,
    not_installed,
)
from tenuto.engine.local.runtimes import runtimes

AUTO: Final = "auto"

_MAX_REASON_CHARACTERS: Final = 200

# The key of the probe, which no job has, and the time limit for its one token.
_PROBE: Final = 2**62
_PROBE_S: Final = 60.0

_ANY_TEXT: Final = "\n\nHuman: Hello, 1 \N{GRINNING FACE}!\n\nAssistant:"


def load_runtime(
    options: RuntimeOptions,
    file: Gguf,
    wanted: str = AUTO,
    probe: Callable[[Runtime], object] = lambda _: None,
    attempt: Callable[[str], object] = lambda _: None,
) -> tuple[Runtime, str, str]:
    """Load a model with the preferred runtime that is installed and reads it, or with `wanted`.

    `attempt` is called with the name of each runtime before it loads the model, and `probe` with
    the loaded runtime; it raises if the runtime cannot compute on this processor.

    Returns:
        The runtime, its name, and the errors of runtimes before it, or "".

    Raises:
        CannotLoad: No runtime is installed, or all refuse the model.
    """
    refusals: list[str] = []
    for name in candidates(wanted, file):
        attempt(name)
        try:
            return _load(name, options, file, probe), name, "; ".join(refusals)
        except (CannotLoad, ModelFileError) as error:
            refusals.append(str(error))
    # All of them, because the user may be able to fix any.
    raise CannotLoad("; ".join(refusals))


def candidates(wanted: str, file: Gguf) -> list[str]:
    """Return the runtimes to try, in order.

    Raises:
        CannotLoad: No runtime for this format is installed, or `wanted` does not read it.
    """
    table = runtimes()
    if wanted != AUTO:
        if file.format not in table[wanted].formats:
            feature = table[wanted].refusal(file)
            raise CannotLoad(
                f"{table[wanted].title} does not read {feature}; set `runtime` to `auto`"
            )
        return [wanted]
    able = [name for name, kind in table.items() if file.format in kind.formats]
    installed = [name for name in able if table[name].installed]
    if not installed and able[1:]:
        raise not_installed(" or ".join(table[name].library for name in able))
    # A single runtime reports its missing library itself.
    installed = installed or able
    # The known limits of a library may be out of date: if all refuse, all are tried.
    return [name for name in installed if not table[name].refusal(file)] or installed


def next_after(died: str, file_format: Format) -> str | None:
    """Return the installed runtime after another, in order of preference, that reads a format."""
    table = runtimes()
    readers = (name for name, kind in table.items() if file_format in kind.formats)
    later = (name for name in readers if table[name].rank > table[died].rank)
    return next((name for name in later if table[name].installed), None)


def _load(
    name: str, options: RuntimeOptions, file: Gguf, probe: Callable[[Runtime], object]
) -> Runtime:
    runtime = runtimes()[name].load(options, file)
    try:
        # Some libraries accept a damaged vocabulary, and fail when they first use it.
        runtime.encode(_ANY_TEXT)
    except Exception as error:
        raise CannotLoad(
            f"{name} loads this model, but its tokenizer does not work ({type(error).__name__})"
        ) from None
    try:
        probe(runtime)
    except Exception as error:
        reason = " ".join(str(error).split())[-_MAX_REASON_CHARACTERS:]
        raise CannotLoad(f"{name} cannot compute with this model here: {reason}") from None
    return runtime


def computes_numbers(runtime: Runtime) -> bool:
    """Return whether the probabilities of a first token are numbers.

    With damaged weights all may be NaN; a library then generates one token forever, or any.
    """
    # A token that prompts do not begin with, so that no cache holds a prefix of theirs.
    prompt = runtime.encode("\0")[-1:]
    runtime.begin(_PROBE, prompt, 1, Sampling(0.0, None, None, seed=1, logprobs=0))
    until = time.monotonic() + _PROBE_S
    while time.monotonic() < until:
        for delta in runtime.step():
            if delta.ending is not None:
                return delta.ending != "broke"
    runtime.cancel(_PROBE)
    return True
