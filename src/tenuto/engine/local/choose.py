"""Load a model with the preferred runtime that is installed and reads the file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import Final

from tenuto.core.job import Sampling
from tenuto.engine.local.cpu import cpu
from tenuto.engine.local.gguf import Gguf, ModelFileError
from tenuto.engine.local.preference import Preference, in_order
from tenuto.engine.local.runtime import (
    NOT_TUNED,
    CannotLoad,
    Runtime,
    RuntimeOptions,
    TunedChoice,
    not_installed,
)
from tenuto.engine.local.runtimes import runtimes

AUTO: Final = "auto"

_MAX_REASON_CHARACTERS: Final = 200

# The key of the probe, which no job has, and the time limit for its one token.
_PROBE: Final = 2**62
_PROBE_S: Final = 60.0

_ANY_TEXT: Final = "\n\nHuman: Hello, 1 \N{GRINNING FACE}!\n\nAssistant:"


@dataclass(frozen=True, slots=True)
class ChosenRuntime:
    """A runtime that has loaded a model.

    Attributes:
        runtime: The runtime.
        name: Its name in the settings.
        why: Why `auto` chose it, in a few words; "" if it was configured, or replaces another.
        note: The errors of the runtimes before it, or "".
    """

    runtime: Runtime
    name: str
    why: str = ""
    note: str = ""


def load_runtime(
    options: RuntimeOptions,
    file: Gguf,
    wanted: str = AUTO,
    probe: Callable[[Runtime], object] = lambda _: None,
    attempt: Callable[[str, str], object] = lambda name, alternative: None,
    tuned: TunedChoice = NOT_TUNED,
) -> ChosenRuntime:
    """Load a model with the preferred runtime that is installed and reads it, or with `wanted`.

    Args:
        options: Path and limits. Without threads, a tuned runtime gets the tuned number.
        file: Metadata of the model.
        wanted: Name of the runtime, or `auto`.
        probe: Called with the loaded runtime; raises if it cannot compute on this processor.
        attempt: Called with the name of each runtime before it loads the model, and the name of
            the runtime after it, or "".
        tuned: The choice for `auto`, if the model was tuned.

    Raises:
        CannotLoad: No runtime is installed, or all refuse the model.
    """
    refusals: list[str] = []
    chosen = candidates(wanted, file, tuned)
    following = [*(each.runtime for each in chosen[1:]), ""]
    for (name, why), alternative in zip(map(astuple, chosen), following, strict=True):
        attempt(name, alternative)
        threads = options.threads
        if wanted == AUTO and name == tuned.runtime:
            threads = threads or tuned.threads
        try:
            runtime = _load(name, replace(options, threads=threads), file, probe)
            return ChosenRuntime(runtime, name, why, "; ".join(refusals))
        except (CannotLoad, ModelFileError) as error:
            refusals.append(str(error))
    # All of them, because the user may be able to fix any.
    raise CannotLoad("; ".join(refusals))


def candidates(wanted: str, file: Gguf, tuned: TunedChoice = NOT_TUNED) -> list[Preference]:
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
        return [Preference(wanted)]
    able = in_order(file, cpu(), tuned)
    installed = [each for each in able if table[each.runtime].installed]
    if not installed and able[1:]:
        libraries = dict.fromkeys(table[each.runtime].library for each in able)
        raise not_installed(" or ".join(libraries))
    # A single runtime reports its missing library itself.
    installed = installed or able
    # The known limits of a library may be out of date: if all refuse, all are tried.
    reading = [each for each in installed if not table[each.runtime].refusal(file)] or installed
    if not (best := table[able[0].runtime]).installed and reading[0] != able[0]:
        reading[0] = Preference(reading[0].runtime, f"{best.title} is not installed")
    return reading


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
