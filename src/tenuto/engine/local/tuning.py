"""Choices of `tenuto tune`, a file for each model in a folder of their own.

A choice is valid for the model file, the processor and the versions of the libraries that it was
measured with; `auto` ignores all others.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tenuto.engine.local import ir
from tenuto.engine.local.cpu import cpu
from tenuto.engine.local.runtime import NOT_TUNED, TunedChoice
from tenuto.engine.local.runtimes import runtimes
from tenuto.version import __version__

_log = logging.getLogger("tenuto.engine")

FOLDER: Final = ".tuning"
"""Name of the folder within that of the models."""

STALE: Final = "tuned on another machine or version: run tenuto tune again"

# Of a file's layout; a file of another is ignored.
_FORMAT: Final = 1
_MOST_BYTES: Final = 64 * 1024
_MOST_CHARACTERS: Final = 200
_MOST_THREADS: Final = 4096


@dataclass(frozen=True, slots=True)
class Origin:
    """Circumstances of a measurement, in which alone its result is valid.

    Attributes:
        file: Size in bytes and time of the last change of the model's file.
        processor: Name, class and cores of the processor.
        versions: Of Tenuto and of the runtimes' libraries, by name; "" for a missing one.
    """

    file: str
    processor: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The fastest of the measured runtimes and numbers of threads.

    Attributes:
        runtime: Name of the runtime.
        threads: Its number of threads.
        purpose: The objective, such as `few`.
        comparison: The gain over other runtimes, for example at 8 streams; or "".
        date: Day of the measurement, such as `2026-11-26`.
        origin: The circumstances of the measurement.
    """

    runtime: str
    threads: int
    purpose: str
    comparison: str
    date: str
    origin: Origin

    def __str__(self) -> str:
        kind = runtimes().get(self.runtime)
        title = kind.title if kind else self.runtime
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return ", ".join(filter(None, (title, threads, self.comparison, self.date)))


class ModelTuning:
    """The tuning of one model, whose file is in `folder`; None keeps nothing.

    Attributes:
        path: The file, which need not exist.
        stored: The tuning in it, also if it is not valid here; None without one. A damaged file is
            logged, and counts as none.
    """

    def __init__(self, model: Path, folder: Path | None) -> None:
        self._model = model
        # The same file for all links to a model.
        name = hashlib.sha256(os.fsencode(os.path.realpath(model))).hexdigest()[:32]
        self.path: Path | None = folder and folder / f"{name}.json"
        self.stored: Tuning | None = self._read()

    @property
    def is_valid(self) -> bool:
        """Whether the tuning was measured with this file, processor and versions."""
        try:
            return self.stored is not None and self.stored.origin == origin(self._model)
        except OSError:
            return False

    def choice(self) -> TunedChoice:
        """Return the valid choice for `auto`, or `NOT_TUNED`."""
        tuning = self.stored
        if tuning is None:
            return NOT_TUNED
        if not self.is_valid:
            _log.debug("%s: %s", self._model, STALE)
            return NOT_TUNED
        return TunedChoice(tuning.runtime, tuning.threads, f"tuned on {tuning.date}")

    def __str__(self) -> str:
        """Return a phrase for people; "" without a tuning."""
        if self.stored is None:
            return ""
        return f"tuned: {self.stored}" if self.is_valid else STALE

    def keep(self, runtime: str, threads: int, purpose: str, comparison: str) -> Tuning:
        """Store a choice of today, readable for this user alone. See `Tuning`.

        Raises:
            OSError: The file cannot be written; the one before it is unchanged.
        """
        today = datetime.now().astimezone().date().isoformat()
        tuning = Tuning(runtime, threads, purpose, comparison, today, origin(self._model))
        if self.path is not None:
            content = json.dumps({"format": _FORMAT, **asdict(tuning)}, indent=2)
            self.path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            _replace(self.path, f"{content}\n")
        self.stored = tuning
        return tuning

    def forget(self) -> bool:
        """Delete the tuning, damaged or not. Return whether there was one.

        Raises:
            OSError: The file cannot be deleted.
        """
        if self.path is None or not self.path.exists():
            return False
        self.path.unlink()
        self.stored = None
        return True

    def _read(self) -> Tuning | None:
        if self.path is None:
            return None
        try:
            with self.path.open("rb") as file:
                return _parse(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is damaged"
            _log.warning("%s is ignored: %s; run `tenuto tune` again", self.path, reason)
            return None


def _replace(path: Path, content: str) -> None:
    """Write a private file in one step: readers see the old content or the new one."""
    from tempfile import mkstemp

    # In the same folder, because only within a file system a file is replaced at once.
    descriptor, name = mkstemp(prefix=".", dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        # Also after Ctrl-C.
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def origin(model: Path) -> Origin:
    """Return the circumstances of a measurement that is made now.

    Raises:
        OSError: The model cannot be read.
    """
    status = (model / f"{ir.MODEL}.bin" if model.is_dir() else model).stat()
    machine = cpu()
    libraries = sorted({kind.library for kind in runtimes().values()})
    return Origin(
        f"{status.st_size} bytes, {status.st_mtime_ns} ns",
        f"{machine.model}, {machine.class_name}, {machine.cores} cores",
        {"tenuto": __version__, **{name: _version(name) for name in libraries}},
    )


def _version(library: str) -> str:
    # Imported late, because most starts find no tuning.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _parse(data: bytes) -> Tuning | None:
    """Return a tuning; None for one in another layout.

    Raises:
        ValueError: It is not what `ModelTuning.keep` writes.
    """
    match json.loads(data):
        case {
            "format": 1,
            "runtime": str(runtime),
            "threads": int(threads),
            "purpose": str(purpose),
            "comparison": str(comparison),
            "date": str(date),
            "origin": {"file": str(file), "processor": str(processor), "versions": dict(versions)},
        }:
            # A terminal shows them.
            texts = (runtime, purpose, comparison, date, file, processor, *versions.values())
            if all(map(_is_short, texts)) and 1 <= threads <= _MOST_THREADS:
                place = Origin(file, processor, versions)
                return Tuning(runtime, threads, purpose, comparison, date, place)
        case {"format": int(number)} if number != _FORMAT:
            return None
    raise ValueError("not a tuning")


def _is_short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and value.isprintable()
