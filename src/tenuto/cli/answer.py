"""Runs one completion for the terminal, on the embedded engine or on a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from tenuto.cli.failure import Failure
from tenuto.engine import registry
from tenuto.engine.base import Engine, Job, ModelError
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.settings import EngineSettings, LocalSettings, client_key
from tenuto.wire.errors import ApiError, InvalidRequest
from tenuto.wire.events import CompletionEvent, Event
from tenuto.wire.ids import completion_id


class _ReaderGone(Exception):
    """Whoever reads the output has seen enough, as in `tenuto complete … | head`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer is printed.

    Attributes:
        json: As one JSON object when it is whole, instead of as text when it comes.
        trim: Without the first space.
    """

    json: bool
    trim: bool

    async def print_text(self, events: AsyncIterator[Event]) -> None:
        """Prints the text as it comes, and a newline."""
        first = True
        async for event in events:
            if isinstance(event, CompletionEvent) and event.completion:
                text = event.completion
                if first and self.trim:
                    text = text.removeprefix(" ")
                first = False
                _write(text)
        _write("\n")

    def print_json(self, body: Mapping[str, object]) -> None:
        """Prints the API's answer."""
        _write(json.dumps(body, ensure_ascii=False, indent=2) + "\n")


def ask_engine(
    model: Path | None,
    fields: Mapping[str, object],
    answer: Answer,
    *,
    raw: bool,
    seed: int | None,
) -> None:
    """Completes on the embedded engine, which is started for it and ended after it.

    Args:
        model: A model file, None for the built-in model.
        fields: The request's, not checked yet.
        answer: How to print what comes.
        raw: Whether to complete the prompt as it is, without turns.
        seed: See `Job`.

    Raises:
        Failure: The model cannot be loaded, a field or the prompt is wrong, or the engine broke.
    """
    try:
        engine = registry.create(EngineSettings(local=LocalSettings(model=model)))
        with contextlib.suppress(_ReaderGone):
            asyncio.run(_on_engine(engine, fields, answer, raw=raw, seed=seed))
    except (ModelError, InvalidRequest) as error:
        raise Failure(str(error), 2) from None
    except ApiError as error:
        raise Failure(error.message) from None


def ask_server(base_url: str, fields: Mapping[str, object], answer: Answer) -> None:
    """Completes on a server.

    Raises:
        Failure: A field is wrong, the server cannot be reached, or it answered with an error.
    """
    from tenuto.client import http
    from tenuto.wire.request import check_request

    async def ask() -> None:
        request = check_request(fields)
        key = client_key()
        if answer.json:
            answer.print_json(await http.complete(base_url, key, request))
            return
        async with aclosing(http.stream(base_url, key, request)) as events:
            await answer.print_text(events)

    try:
        with contextlib.suppress(_ReaderGone):
            asyncio.run(ask())
    except InvalidRequest as error:
        raise Failure(error.message, 2) from None
    except ApiError as error:
        raise Failure(f"{base_url}: {error.message}") from None
    except http.Unreachable as error:
        raise Failure(str(error)) from None


async def _on_engine(
    engine: Engine, fields: Mapping[str, object], answer: Answer, *, raw: bool, seed: int | None
) -> None:
    await engine.start()
    try:
        # In a thread, because it imports much: the engine's worker is started meanwhile.
        job, stop_sequences = await asyncio.to_thread(_job, fields, raw, seed)
        from tenuto.stream.pipe import collect, run

        # Not within the request: a model that takes minutes to load is worth waiting for here.
        model = await engine.ready()
        async with aclosing(run(job, engine, stop_sequences)) as events:
            if answer.json:
                answer.print_json((await collect(events, completion_id(), model)).body())
            else:
                await answer.print_text(events)
    finally:
        await engine.aclose()


def _job(fields: Mapping[str, object], raw: bool, seed: int | None) -> tuple[Job, list[str]]:
    """What the engine is to do, and the stop sequences."""
    from tenuto.stream.pipe import job_of
    from tenuto.wire.request import check_request

    request = check_request(fields)
    prompt = raw_prompt(request.prompt) if raw else parse_prompt(request.prompt)
    return job_of(request, prompt, seed), request.stop_sequences


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python would flush at exit has no reader either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _ReaderGone from None
