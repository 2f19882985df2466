"""`tenuto tune`: measure which runtime and number of threads are the fastest for a model."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenuto.bench.candidates import Purpose
from tenuto.cli import options
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.terminal import note, progress
from tenuto.settings import Settings, load_with_origins, models_folder

if TYPE_CHECKING:
    from tenuto.bench.candidates import Candidate, Measured


def tune(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            autocompletion=options.model_names,
            help="Model file, downloaded model, or hf:org/repo:file.  [default: that of the "
            "settings, or the built-in one]",
        ),
    ] = None,
    purpose: Annotated[
        Purpose | None,
        typer.Option(
            "--for",
            metavar="one|few|many",
            help="Completions that mostly run at once.  [default: as max_running of the settings "
            "suggests; few for 2 to 64]",
        ),
    ] = None,
    time: Annotated[
        float, options.number("Time limit of all measurements together.", 5, 3600, "SECONDS")
    ] = 60.0,
    forget: Annotated[
        bool, typer.Option("--forget", help="Delete the stored choice, and measure nothing.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    config: options.Config = None,
) -> None:
    """Measure which runtime and number of threads are the fastest for a model here; keep them.

    Each installed runtime that reads the model runs it in a process of its own: with one thread for
    each core, with one fewer, and a small model also with one. The highest geometric mean of the
    rates that --for names is the choice:

    \b
    one    prefill (a long prompt) and 1 stream
    few    prefill, 1 stream and 8 streams
    many   prefill, 8 streams and 32 streams

    \b
    tenuto tune                      the model of the settings, or the built-in one
    tenuto tune FILE.gguf --for one  another model, for one user
    tenuto tune --forget FILE.gguf   back to the rules of `auto`

    `runtime = "auto"` uses the choice from the next start on, until the file, the processor or a
    library changes; `runtime` and `threads` in the settings precede it. `tenuto models` shows it.
    Other work on the machine falsifies the figures: tune an idle one.
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.bench.candidates import (
        Candidate,
        best_of,
        comparison,
        objective,
        thread_counts,
        usual_purpose,
    )
    from tenuto.cli.tune_report import TuneReport
    from tenuto.engine import registry

    settings = load_with_origins(config).settings
    name, path = _model(settings, model)
    tuning = registry.tuning(path, registry.tunings_folder(models_folder(settings.models)))
    if forget:
        forgotten = tuning.forget()
        note(f"{name} {'is not tuned any more' if forgotten else 'was not tuned'}.")
        return
    local = settings.engine.local
    purpose = purpose or usual_purpose(local.max_running)
    tunable = registry.tunable(path)
    counts = thread_counts(tunable.cores, small=tunable.small)
    candidates = [
        Candidate(runtime, title, count)
        for runtime, title in tunable.runtimes.items()
        for count in ([local.threads] if local.threads else counts)
    ]
    deciding = objective(purpose, local.max_running)
    report = TuneReport(name, path, tunable.processor, tunable.cores, purpose, deciding)
    _warn_if_busy(tunable.cores)
    try:
        with _no_log():
            measured = asyncio.run(_measure(settings, path, candidates, purpose, time))
        best = best_of(measured, deciding)
        chosen = None
        if best is not None:
            gain = comparison(best, measured, deciding)
            choice = best.candidate
            chosen = tuning.keep(choice.runtime, choice.threads, purpose.value, gain)
    except KeyboardInterrupt:
        raise Stopped("Stopped. Nothing was changed.") from None
    report.print(measured, best, chosen, json=json)
    if best is None:
        raise Failure(f"no candidate was measured within {time:.0f} s; --time sets a longer limit")
    for setting in ("runtime", "threads"):
        if (value := getattr(local, setting)) not in ("auto", None):
            note(f"The setting {setting} = {value!r} precedes the choice.")


def _model(settings: Settings, model: str | None) -> tuple[str, Path]:
    """Return name and file of the model to tune."""
    from tenuto.cli.pull import fetch
    from tenuto.engine.registry import built_in
    from tenuto.service import model_path

    named = model or settings.engine.local.model
    return (str(named), model_path(settings, named, fetch)) if named else built_in()


async def _measure(
    settings: Settings,
    path: Path,
    candidates: Sequence[Candidate],
    purpose: Purpose,
    seconds: float,
) -> list[Measured]:
    """Measure all candidates in turn, each in an equal share of the time that is left."""
    from tenuto.bench.candidates import shapes
    from tenuto.bench.engine_load import measure
    from tenuto.engine.registry import create

    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    local = dataclasses.replace(settings.engine.local, model=path)
    measured = []
    for number, candidate in enumerate(candidates):
        chosen = dataclasses.replace(local, runtime=candidate.runtime, threads=candidate.threads)
        engine = dataclasses.replace(settings.engine, name="local", local=chosen)
        share_s = (until - clock()) / (len(candidates) - number)
        with progress(f"{candidate} ({number + 1}/{len(candidates)})", 1.0, in_bytes=False) as show:
            wanted = shapes(purpose, local.max_running)
            measured.append(
                await measure(candidate, lambda: create(engine), wanted, share_s, show)  # noqa: B023
            )
    return measured


def _warn_if_busy(cores: int) -> None:
    with contextlib.suppress(OSError):
        load = os.getloadavg()[0]
        if load > cores / 2:
            note(f"The machine is busy (load {load:.1f}): the figures may mislead.")


@contextlib.contextmanager
def _no_log() -> Iterator[None]:
    """Keep the engine's log off the terminal, because failures are in the table."""
    log = logging.getLogger("tenuto.engine")
    handler, propagates = logging.NullHandler(), log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = propagates
        log.removeHandler(handler)
