"""The candidates for a tuning: runtimes that can run a model on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tenuto.core.refusal import ModelError
from tenuto.engine.local import model_file
from tenuto.engine.local.choose import AUTO, candidates
from tenuto.engine.local.cpu import cpu
from tenuto.engine.local.preference import SMALL_BYTES
from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.runtimes import runtimes


@dataclass(frozen=True, slots=True)
class Tunable:
    """The runtimes of a model, and the processor.

    Attributes:
        runtimes: The installed runtimes that read it, in the order of `auto`: name -> title.
        small: Whether it is so small that one thread may be the fastest.
        processor: The processor for people, such as `AMD EPYC (AVX2)`.
        cores: Its cores for this process.
    """

    runtimes: Mapping[str, str]
    small: bool
    processor: str
    cores: int


def tunable(path: Path) -> Tunable:
    """Return the candidates for a model.

    Raises:
        ModelError: The model is missing or invalid, or no installed runtime reads it.
    """
    model_file.checked_name(path)
    file = model_file.read(path)
    try:
        names = [each.runtime for each in candidates(AUTO, file)]
    except CannotLoad as error:
        raise ModelError(f"{path}: {error}") from None
    machine = cpu()
    return Tunable(
        {name: runtimes()[name].title for name in names},
        file.format == "gguf" and file.weight_bytes < SMALL_BYTES,
        f"{machine.model or 'this processor'} ({machine.class_name})",
        machine.cores,
    )
