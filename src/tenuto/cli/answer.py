"""Runs one completion for the terminal, on the embedded engine or on a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from tenuto.cli import output
from tenuto.cli.failure import Failure
from tenuto.core.events import Text
from tenuto.core.refusal import ModelError, Refusal
from tenuto.core.request import Request
from tenuto.engine.base import Engine
from tenuto.prompt.turns import parse_prompt, raw_prompt
from tenuto.settings import Settings
from tenuto.settings.upstreams import without_password
from tenuto.wire.errors import refusal_of, status_of
from tenuto.wire.ids import completion_id


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer is printed.

    Attributes:
        json: As one JSON object when it is whole, instead of as text when it comes.
        trim: Without the first space.
    """

    json: bool
    trim: bool

    def text(self) -> _Text:
        """Prints a text as it comes."""
        return _Text(trim=self.trim)

    def print_json(self, body: Mapping[str, object]) -> None:
        """Prints the API's answer."""
        output.line(json.dumps(body, ensure_ascii=False, indent=2))


class _Text:
    """A text that is printed as it comes, and ended with a newline."""

    def __init__(self, *, trim: bool) -> None:
        self._trim = trim

    def trimmed(self, piece: str) -> str:
        if piece and self._trim:
            self._trim = False
            return piece.removeprefix(" ")
        return piece


def ask_engine(
    settings: Settings,
    fields: Mapping[str, object],
    answer: Answer,
    *,
    raw: bool,
    seed: int | None,
) -> None:
    """Completes on the embedded engine, which is started for it and ended after it.

    Args:
        settings: All settings.
        fields: The request's, not checked yet.
        answer: How to print what comes.
        raw: Whether to complete the prompt as it is, without turns.
        seed: See `Job`.

    Raises:
        Failure: The model is missing or damaged, a field or the prompt is wrong, or the engine
            broke.
    """
    # Imported here because a server's answer needs none of it.
    from tenuto.cli.fetch import engine_of

    try:
        engine = engine_of(settings)
        asyncio.run(_on_engine(engine, fields, answer, raw=raw, seed=seed))
    except Refusal as error:
        wrong_use = isinstance(error, ModelError) or _is_callers_fault(error)
        raise Failure(error.message, 2 if wrong_use else 1) from None


def ask_server(
    base_url: str, fields: Mapping[str, object], answer: Answer, *, seed: int | None
) -> None:
    """Completes on a server.

    Args:
        base_url: Where it is.
        fields: The request's, not checked yet.
        answer: How to print what comes.
        seed: An extension, which not all servers allow; None for none.

    Raises:
        Failure: A field is wrong, the server cannot be reached, or it answered with an error.
    """
    from tenuto.client.client import Client
    from tenuto.client.errors import APIError, APIStatusError
    from tenuto.wire.completions.request import check_request

    try:
        # Checked here already: a slip on the command line is not worth a request.
        params: Any = check_request(fields).model_dump(exclude_unset=True)
        if seed is not None:
            params["extra_body"] = {"seed": seed}
        # A person who waits sees a failure sooner than a program needs to.
        with Client(base_url=base_url, max_retries=0) as client, _quiet():
            if answer.json:
                answer.print_json(client.completions.create(**params).to_dict())
            else:
                text = answer.text()
                named = False
                with client.completions.create(**params, stream=True) as stream:
                    for piece in stream:
                        if not named:
                            # The client checks no answers: a field may be missing.
                            model = getattr(piece, "model", None) or "a model"
                            _name(f"{model} at {without_password(base_url)}")
                            named = True
                        output.write(text.trimmed(getattr(piece, "completion", None) or ""))
                output.line()
    except Refusal as error:
        raise Failure(error.message, 2) from None
    except APIStatusError as error:
        refusal = refusal_of(error.status_code, error.body)
        code = 2 if _is_callers_fault(refusal) else 1
        message = refusal.message
        unknown = "seed: Extra inputs are not permitted"
        if seed is not None and message.startswith(unknown):
            remedy = "leave --seed out, or set `extensions = true` in [api] of that server"
            message = f"{unknown}; {remedy}"
        shown = without_password(base_url)
        raise Failure(f"{shown}: {message}", code) from None
    except APIError as error:
        raise Failure(error.message) from None
    except (ValueError, ImportError) as error:
        # What is wrong with the address, the key, or a variable for a proxy.
        raise Failure(_without_secret(error, base_url), 2) from None


def _without_secret(error: Exception, base_url: str) -> str:
    if isinstance(error, UnicodeError):
        return "the key, the address or a header in the environment has letters that are not ASCII"
    return str(error).replace(base_url, without_password(base_url))


def _name(model: str) -> None:
    """Name the model that answers, where somebody watches."""
    if output.is_terminal():
        output.note(output.dim(model))


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Say on a terminal that the model loads, and take it back."""
    if output.is_terminal():
        output.note(output.dim("Loading the model…"), end="")
    try:
        yield
    finally:
        if output.is_terminal():
            output.note("\r\x1b[K", end="")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings about old names of models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _is_callers_fault(refusal: Refusal) -> bool:
    return status_of(refusal.kind) == 400


async def _on_engine(
    engine: Engine, fields: Mapping[str, object], answer: Answer, *, raw: bool, seed: int | None
) -> None:
    await engine.start()
    try:
        # In a thread, because it imports much: the engine's worker is started meanwhile.
        with _loading():
            request = await asyncio.to_thread(_request, fields, raw, seed)
            from tenuto.service import Completions
            from tenuto.stream.collect import collect
            from tenuto.stream.meter import Meter
            from tenuto.wire.completions.response import Completion

            # Not within the request: a model that takes minutes to load is worth waiting for here.
            model = await engine.ready()
        completions = Completions(engine)
        completions.check(request.job.model, request.job.sampling)
        async with aclosing(await completions.run(request, Meter())) as running:
            if answer.json:
                completed = await collect(running.events)
                answer.print_json(Completion(completion_id(), model, completed).body())
            else:
                _name(model)
                text = answer.text()
                async for event in running.events:
                    if isinstance(event, Text):
                        await output.write_soon(text.trimmed(event.text))
                await output.write_soon("\n")
    finally:
        await engine.aclose()


def _request(fields: Mapping[str, object], raw: bool, seed: int | None) -> Request:
    from tenuto.wire.completions.job import request_of, sampling_of
    from tenuto.wire.completions.request import check_request

    checked = check_request(fields)
    text = str(checked.prompt)
    prompt = raw_prompt(text) if raw else parse_prompt(text)
    return request_of(checked, prompt, sampling_of(checked, seed))
