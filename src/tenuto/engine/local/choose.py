"""The runtime that loads a model: the most preferred one that is installed and reads the file."""

from __future__ import annotations

import time
from collections.abc import Callable

from tenuto.core.job import Sampling
from tenuto.engine.local.gguf import Gguf, ModelFileError
from tenuto.engine.local.runtime import CannotLoad, Runtime, RuntimeOptions, not_installed
from tenuto.engine.local.runtime_kind import Format, format_of, is_installed
from tenuto.engine.local.runtimes import runtimes

AUTO = "auto"

# Characters of what a library says.
_LONGEST_REASON = 200

# A key that no job has, and how long its one token may take.
_PROBE = 2**62
_PROBE_S = 60.0

_ANY_TEXT = "\n\nHuman: Hello, 1 \N{GRINNING FACE}!\n\nAssistant:"


def load_runtime(
    options: RuntimeOptions,
    file: Gguf,
    wanted: str = AUTO,
    probe: Callable[[Runtime], object] = lambda _: None,
) -> tuple[Runtime, str, str]:
    """Load a model with the most preferred runtime that is installed and reads it.

    Args:
        options: The model's path, and its limits.
        file: What the model says of itself.
        wanted: The runtime's name, or `auto`.
        probe: Is called with the runtime. Where it raises, the runtime cannot compute with the
            model on this processor, which some libraries notice only then.

    Returns:
        The runtime, its name, and why it is not the first choice, or "".

    Raises:
        CannotLoad: None is installed, or all refuse the model.
    """
    refusals: list[str] = []
    for name in candidates(wanted, file):
        try:
            runtime = _load(name, options, file)
            _try(name, runtime, probe)
            return runtime, name, "; ".join(refusals)
        except (CannotLoad, ModelFileError) as error:
            refusals.append(str(error))
    # Joined, because the one who asks may be able to help either.
    raise CannotLoad("; ".join(refusals))


def candidates(wanted: str, file: Gguf) -> list[str]:
    """Return the runtimes to try, in order.

    Raises:
        CannotLoad: None is installed, or the one that is wanted does not read this format.
    """
    table = runtimes()
    if wanted != AUTO:
        if reason := table[wanted].wrong_format(file):
            raise CannotLoad(reason)
        return [wanted]
    able = [name for name, kind in table.items() if format_of(file) in kind.formats]
    installed = [name for name in able if is_installed(table[name])]
    if not installed and able[1:]:
        raise not_installed(*(table[name].library for name in able))
    # The only one that can names its library itself when it does not find it.
    installed = installed or able
    # What is known of a library may be out of date: if all refuse, all are tried.
    return [name for name in installed if not table[name].refusal(file)] or installed


def last_resort(file_format: Format) -> str | None:
    """Return the least preferred runtime that is installed and reads a format; None without one."""
    names = (
        name
        for name, kind in reversed(list(runtimes().items()))
        if file_format in kind.formats and is_installed(kind)
    )
    return next(names, None)


def _load(name: str, options: RuntimeOptions, file: Gguf) -> Runtime:
    runtime = runtimes()[name].load(options, file)
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
