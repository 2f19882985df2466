"""`tenuto compare --prompts`: complete prompts with two upstreams, without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Final, TextIO, TypeVar

from tenuto.batch.requests import Defaults
from tenuto.batch.source import InvalidFile, Line, csv_lines, is_csv, json_lines
from tenuto.cli.failure import Failure
from tenuto.cli.terminal import note, progress
from tenuto.compare.answer import Answer
from tenuto.compare.answering import CostOf, answer_of, copy_of
from tenuto.compare.comparison import Pair, Purpose, line_of
from tenuto.compare.rows import Run, read_run
from tenuto.core.job import ANONYMOUS, Request
from tenuto.core.prompt import TokenPrompt
from tenuto.core.refusal import Refusal
from tenuto.engine.base import Engine
from tenuto.engine.registry import copies_to
from tenuto.server.accounts import terms_of
from tenuto.server.app import dialects_of
from tenuto.settings import Settings, SettingsError, load_with_origins
from tenuto.settings.shadow import check_target
from tenuto.wire.dialect import RequestHead

_TIMEOUT_S: Final = 600.0
_RETRIES: Final = 3
_MODEL: Final = "claude-2.1"
_HEADERS: Final = ((b"anthropic-version", b"2023-06-01"),)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offline:
    """A comparison without a server.

    Attributes:
        prompts: The file of prompts.
        a: The first upstream.
        b: The second one.
        noise: Whether the first one completes each prompt twice.
        keep_texts: Whether the comparisons have texts.
        concurrency: Prompts at the same time.
    """

    prompts: Path
    a: str
    b: str
    noise: bool
    keep_texts: bool
    concurrency: int


def compared(offline: Offline, out: Path | None, max_tokens: int, config: Path | None) -> Run:
    """Complete the prompts with both upstreams. Return the comparisons.

    Args:
        offline: The prompts and the upstreams.
        out: A new file for them; None for none.
        max_tokens: Most tokens, for lines without a limit.
        config: The settings file.

    Raises:
        Failure: An upstream is unknown, the file exists, or no prompt is valid.
    """
    settings = load_with_origins(config).settings
    for name, to in (("--a", offline.a), ("--b", offline.b)):
        try:
            check_target(name, to, settings.engine.upstreams)
        except SettingsError as error:
            raise Failure(str(error), 2) from None
    requests = list(_requests(settings, offline.prompts, Defaults(_MODEL, max_tokens)))
    if not requests:
        raise Failure(f"{offline.prompts}: has no valid prompt", 2)
    if out is None:
        return read_run(asyncio.run(_run(settings, offline, requests, None)))
    try:
        with out.open("x", encoding="utf-8") as file:
            out.chmod(0o600)
            return read_run(asyncio.run(_run(settings, offline, requests, file)))
    except FileExistsError:
        raise Failure(f"{out}: exists; name another file", 2) from None


def _requests(settings: Settings, path: Path, defaults: Defaults) -> Iterator[tuple[str, Request]]:
    """Yield the requests of a file with their labels. Invalid lines are reported, and left out."""
    dialects = {dialect.path: dialect for dialect in dialects_of(settings)}
    lines = csv_lines(path, defaults) if is_csv(path) else json_lines(path, defaults)
    try:
        for line in lines:
            label = str(next(iter(line.label.values())))[:256]
            try:
                yield label, _request(line, dialects)
            except (Refusal, ValueError) as error:
                note(f"{path}: {label}: {error}")
    except InvalidFile as error:
        raise Failure(str(error), 2) from None


def _request(line: Line, dialects: dict[str, Any]) -> Request:
    if line.request is None:
        raise ValueError(line.error)
    dialect = dialects.get(line.request.path)
    if dialect is None:
        raise ValueError(f"url: cannot be compared; use one of: {', '.join(dialects)}")
    head = dialect.head(RequestHead(_HEADERS, line.request.path))
    exchange = dialect.check(line.request.body, head)
    requests: list[Request] = _finished(exchange.requests(exchange.sampling(), ANONYMOUS))
    if len(requests) > 1 or isinstance(requests[0].job.prompt, TokenPrompt):
        raise ValueError("only requests for one completion of a text can be compared")
    return requests[0]


def _finished(steps: Generator[None, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


@asynccontextmanager
async def _engine(settings: Settings, to: str) -> AsyncGenerator[Engine, None]:
    name, _, model = to.partition(":")
    engine = copies_to(settings.engine, name, model or None, max_retries=_RETRIES)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.aclose()


async def _run(
    settings: Settings,
    offline: Offline,
    requests: list[tuple[str, Request]],
    file: TextIO | None,
) -> list[str]:
    """Return the lines of all comparisons, and write them as soon as they are there."""
    lines: list[str] = []
    cost_of = terms_of(settings).prices.money
    limit = asyncio.Semaphore(offline.concurrency)
    with progress("Completing", 1, in_bytes=False) as show:
        async with _engine(settings, offline.a) as a, _engine(settings, offline.b) as b:

            async def one(label: str, request: Request) -> None:
                async with limit:
                    pairs = await _pairs(label, request, a, b, offline, cost_of)
                made = [line_of(pair) for pair in pairs]
                lines.extend(made)
                if file is not None:
                    file.write("".join(f"{line}\n" for line in made))
                    file.flush()
                show(len(lines) / (len(requests) * (1 + offline.noise)))

            async with asyncio.TaskGroup() as group:
                for label, request in requests:
                    group.create_task(one(label, request))
    return lines


async def _pairs(
    label: str, request: Request, a: Engine, b: Engine, offline: Offline, cost_of: CostOf
) -> list[Pair]:
    engines = [a, b, *([a] if offline.noise else [])]
    job = copy_of(request.job)
    answers = await asyncio.gather(
        *(answer_of(engine, job, request.stops, _TIMEOUT_S, cost_of) for engine in engines)
    )
    first, second, *again = answers
    prompt = str(job.prompt.whole()) if offline.keep_texts else None

    def pair(purpose: Purpose, other: Answer, to: str) -> Pair:
        return Pair(
            *(label, time(), purpose, job.model, first, other, to),
            prefill=job.prompt.prefill,
            prompt=prompt,
        )

    return [
        pair(Purpose.SHADOW, second, offline.b),
        *(pair(Purpose.NOISE, other, offline.a) for other in again),
    ]
