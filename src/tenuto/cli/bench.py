"""`tenuto bench`: how fast a server answers."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_format
import os
import platform
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tenuto.bench.prompts import PromptSet, Sizes
from tenuto.cli import output
from tenuto.cli.config import ConfigOption, read_settings
from tenuto.cli.failure import Failure
from tenuto.cli.ranges import between
from tenuto.settings.upstreams import without_password
from tenuto.version import __version__

if TYPE_CHECKING:
    from tenuto.bench.figures import Figures
    from tenuto.bench.load import Generator, Level, Load

# How many requests each of those at once sends, if neither a number nor a duration is given.
_ROUNDS = 4
_BUSY_CLIENT = 0.8
_TABLE_COLUMNS = 80
_OWN_SERVER = "a server of its own"


def bench(
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Server to measure; the key is taken from TENUTO_API_KEY or ANTHROPIC_API_KEY. "
            "Without it, a server is started on this machine, and ended in the end.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="As for `tenuto serve`; with --base-url, the model's name.",
        ),
    ] = None,
    prompts: Annotated[
        PromptSet,
        typer.Option(
            metavar="KIND",
            help="What the prompts have in common: distinct (nothing), shared-prefix (their "
            "beginning) or multi-turn (each goes on with the conversation before it).",
        ),
    ] = PromptSet.DISTINCT,
    prompt_words: Annotated[
        int,
        typer.Option(callback=between(1, 1_000_000), metavar="N", help="Words of a question."),
    ] = 100,
    shared_words: Annotated[
        int,
        typer.Option(
            callback=between(1, 1_000_000),
            metavar="N",
            help="Words of the beginning that shared-prefix shares.",
        ),
    ] = 500,
    turns: Annotated[
        int,
        typer.Option(
            callback=between(1, 1000),
            metavar="N",
            help="Questions of a conversation of multi-turn.",
        ),
    ] = 4,
    concurrency: Annotated[
        str, typer.Option(metavar="N,N,...", help="Requests at once, one measurement each.")
    ] = "1,2,4,8,16,32",
    requests: Annotated[
        int | None,
        typer.Option(
            callback=between(1),
            metavar="N",
            help="Requests of each measurement.  [default: 4 for each at once]",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            callback=between(0.1),
            metavar="SECONDS",
            help="Send requests for so long instead; those that run then are waited for.",
        ),
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(callback=between(1), metavar="N", help="Most tokens of a completion.")
    ] = 128,
    temperature: Annotated[
        float,
        typer.Option(
            callback=between(0, 1),
            metavar="X",
            help="0 to 1; 0: always the likeliest token, 1: as learned.",
        ),
    ] = 1.0,
    timeout: Annotated[
        float,
        typer.Option(
            callback=between(0.1),
            metavar="SECONDS",
            help="A server that is silent for so long has failed.",
        ),
    ] = 600.0,
    seed: Annotated[
        int | None,
        typer.Option(
            callback=between(0),
            metavar="N",
            help="Send the prompts of another run with this seed. A server may have them in its "
            "cache then.  [default: random]",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the figures into this file.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Measure how fast a server answers: tokens a second, and how long its clients wait.

    For each number of requests at once, that many are kept open, all streamed. Time to first token
    is what one waits for text to begin; time between tokens is how smoothly it goes on. Of both
    there is the median, and the 99th percentile: one in a hundred waits longer.

    \b
    tenuto bench                                     the built-in model on this machine
    tenuto bench --model FILE.gguf --plot speed.svg  a model of yours, and a picture
    tenuto bench --base-url http://host:8000         a server that runs already
    tenuto bench --prompts shared-prefix             what its prefix cache is worth
    tenuto bench --concurrency 8 --duration 60       one minute of steady load

    A completion that ends for its number of tokens has as many; of any other, the events with text
    are counted, which are at most as many as its tokens. Ctrl-C ends the measuring and keeps what
    there is. Other work on the machine slows both sides down: measure a quiet one.
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.bench.load import Generator, Level, Load
    from tenuto.client.transports import AsyncEnvironmentTransport, unlimited
    from tenuto.settings.client import client_environment

    levels = _concurrencies(concurrency)
    if requests is not None and duration is not None:
        raise Failure("--requests and --duration exclude each other; give one of them", 2)
    _check_plot(plot)
    load = Load(
        prompts,
        Sizes(prompt_words, shared_words, turns),
        (model if base_url else None) or "tenuto-bench",
        max_tokens,
        temperature,
        timeout,
        secrets.randbits(32) if seed is None else seed,
    )
    server_name = without_password(base_url) if base_url else _OWN_SERVER
    report = _Report(load, server_name, json=json, plot=plot, model=model)
    with ExitStack() as exits:
        headers: dict[str, str] = {}
        url = base_url
        if url is not None:
            credentials = client_environment().credentials(url)
            headers |= credentials.headers
            if credentials.api_key:
                headers["x-api-key"] = credentials.api_key
            elif credentials.auth_token:
                headers["authorization"] = f"Bearer {credentials.auth_token}"
        if url is None:
            from tenuto.cli.own_server import own_server

            # Here, because the server's own words are not all shown.
            read_settings(config)
            output.note("Starting a server.")
            server = exits.enter_context(own_server(model, config))
            url, headers = server.url, {"x-api-key": server.key}
        shown = without_password(base_url) if base_url else "the server"
        try:
            transport = AsyncEnvironmentTransport(unlimited())
            generator = Generator(url, headers, load, transport)
        except ValueError as error:
            raise Failure(f"--base-url: {error}", 2) from None
        try:
            if failure := asyncio.run(generator.warm_up()):
                raise Failure(f"{shown}: the first request failed: {failure}{_hint(failure)}")
            for count in levels:
                number = count * _ROUNDS if requests is None and duration is None else requests
                report.add(*_measure(generator, Level(count, number, duration)))
        except KeyboardInterrupt:
            output.note("\nStopped; these are the figures so far.")
            report.finish()
            raise
        report.finish()


def _hint(failure: str) -> str:
    if "TLS failed" in failure:
        return "; does the server there speak http:// only?"
    if "certificate" in failure:
        return "; SSL_CERT_FILE names a file of certificates to trust"
    if failure.startswith("cannot connect"):
        return "; is a server running there? `tenuto serve` starts one"
    if failure.startswith("401"):
        return "; set TENUTO_API_KEY"
    return ""


def _measure(generator: Generator, level: Level) -> tuple[Figures, bool]:
    """One concurrency: its figures, and whether Ctrl-C ended it."""
    with _progress(f"{level.concurrency} at once") as progress:
        try:
            asyncio.run(generator.run(level, progress))
        except KeyboardInterrupt:
            return level.figures(), True
    return level.figures(), False


def _concurrencies(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 10_000 for part in parts):
        raise Failure(
            f"--concurrency: {text!r} is no list of numbers from 1 to 10,000, such as 1,2,4,8", 2
        )
    return [int(part) for part in parts]


def _check_plot(path: Path | None) -> None:
    """Says now, and not after minutes, that a plot cannot be written."""
    if path is None:
        return
    if path.suffix.lower() != ".svg":
        raise Failure(f"--plot: {path} does not end in .svg, the one format that is drawn", 2)
    if not path.absolute().parent.is_dir():
        raise Failure(f"--plot: {path.parent}: there is no such folder", 2)


class _Report:
    """Prints what was measured, line by line or as one object."""

    def __init__(
        self, load: Load, server: str, *, json: bool, plot: Path | None, model: str | None
    ) -> None:
        self._load = load
        self._server = server
        self._json = json
        self._plot = plot
        self._model = model
        self._levels: list[Figures] = []

    def add(self, figures: Figures, interrupted: bool) -> None:
        """Takes the figures of one concurrency.

        Raises:
            KeyboardInterrupt: They are the last, since Ctrl-C ended them.
        """
        if figures.requests or figures.failed:
            self._levels.append(figures)
            if not self._json:
                if len(self._levels) == 1:
                    self._print_head()
                output.line(_row(figures))
        if interrupted:
            raise KeyboardInterrupt

    def finish(self) -> None:
        """Prints what belongs to all."""
        if self._json:
            output.line(json_format.dumps(self._object(), indent=2))
        elif self._levels:
            for line in _remarks(self._levels):
                output.line(line)
        if self._plot is not None and self._levels:
            from tenuto.bench.plot import svg

            try:
                self._plot.write_text(
                    svg(self._levels, self._title(), self._circumstances()), encoding="utf-8"
                )
            except OSError as error:
                raise Failure(f"{self._plot}: {error.strerror}") from None
            output.note(f"Wrote {self._plot}.")

    def _title(self) -> str:
        sizes = f"{self._load.sizes.prompt_words} words, {self._load.max_tokens} tokens"
        return f"tenuto bench: {self._load.kind} prompts, {sizes}"

    def _circumstances(self) -> str:
        """What a stranger must know to compare a picture with another."""
        model = self._model or "the model of the settings"
        processors = f"{os.cpu_count()} processors ({platform.machine()})"
        today = datetime.now().astimezone().date()
        if self._server == _OWN_SERVER:
            return f"{model} on {processors}, tenuto {__version__}, {today}"
        return f"{model} at {self._server}, measured from {processors}, {today}"

    def _print_head(self) -> None:
        output.line(f"{self._title()}, {self._server}\n")
        if _is_narrow():
            output.line(
                f"{'at once':>8}{'failed':>8}{'tokens/s':>10}{'first s':>9}{'between ms':>12}"
            )
            return
        output.line(
            f"{'':8}{'':9}{'':8}{'':>10}  {'first token, s':^17}  {'between tokens, ms':^20}"
        )
        output.line(
            f"{'at once':>8}{'requests':>9}{'failed':>8}{'tokens/s':>10}"
            f"  {'median':>8} {'p99':>8}  {'median':>9} {'p99':>9}"
        )

    def _object(self) -> dict[str, object]:
        load = dataclasses.asdict(self._load)
        return {
            "tenuto": __version__,
            "server": self._server,
            "load": load,
            "levels": [dataclasses.asdict(level) for level in self._levels],
        }


def _is_narrow() -> bool:
    """Return whether the terminal is too narrow for the whole table: then medians alone."""
    return shutil.get_terminal_size((100, 24)).columns < _TABLE_COLUMNS


def _row(level: Figures) -> str:
    first, between_tokens = level.first_token_s, level.between_tokens_s
    if _is_narrow():
        return (
            f"{level.concurrency:>8}{level.failed:>8}{level.tokens_per_s:>10,.1f}"
            f"{_number(first.median, 1, 3):>9}{_number(between_tokens.median, 1000, 1):>12}"
        )
    return (
        f"{level.concurrency:>8}{level.requests:>9}{level.failed:>8}{level.tokens_per_s:>10,.1f}"
        f"  {_number(first.median, 1, 3):>8} {_number(first.p99, 1, 3):>8}"
        f"  {_number(between_tokens.median, 1000, 1):>9} {_number(between_tokens.p99, 1000, 1):>9}"
        f"{'' if level.complete else '  (interrupted)'}"
    )


def _number(value: float | None, factor: float, digits: int) -> str:
    return "-" if value is None else f"{factor * value:,.{digits}f}"


def _remarks(levels: list[Figures]) -> Iterator[str]:
    """What a reader must know to judge the figures."""
    whole, exact = sum(level.requests for level in levels), sum(level.exact for level in levels)
    yield ""
    if exact == whole:
        yield "Tokens: exact, since every completion ended for its number of tokens."
    else:
        yield (
            f"Tokens: exact for {exact} of {whole} completions; of those that ended by themselves, "
            "events with text are counted, so that there may be more."
        )
    for level in levels:
        for reason, count in level.failures.items():
            yield f"{level.concurrency} at once: {count} failed: {reason}"
    busiest = max(levels, key=lambda level: level.client_cpu)
    yield f"The measuring took at most {busiest.client_cpu:.2f} of a core."
    if busiest.client_cpu > _BUSY_CLIENT:
        yield (
            f"That is so much at {busiest.concurrency} at once that the server may well be faster "
            "than this says."
        )


@contextmanager
def _progress(text: str) -> Iterator[Callable[[float], object]]:
    """A bar on the terminal, if there is one. Gives what it is told: the share that is done."""
    if not output.is_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=1.0)
        yield lambda share: bar.update(task, completed=share)
