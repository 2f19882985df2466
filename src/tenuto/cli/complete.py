"""`tenuto complete`: complete a prompt on the terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tenuto.cli import options
from tenuto.cli.failure import Failure
from tenuto.cli.stdin import decoded, read_text
from tenuto.cli.terminal import hint
from tenuto.settings import load_with_origins

_OFFLINE_MODEL = "built-in"


def complete(
    prompt: Annotated[
        str | None,
        typer.Argument(
            metavar="PROMPT",
            help="The text; - or nothing reads standard input.",
            show_default=False,
        ),
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            "--system",
            "-s",
            metavar="TEXT",
            help="System prompt: a text before the first Human turn.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Complete the text itself, without a Human turn.")
    ] = False,
    max_tokens: options.MaxTokens = 256,
    temperature: options.Temperature = 0.7,
    top_k: Annotated[
        int | None, options.number("Sample from the N likeliest tokens only.  [default: off]", 0)
    ] = None,
    top_p: Annotated[
        float | None,
        options.number(
            "0 to 1; sample from the likeliest tokens up to this total probability.  "
            "[default: off]",
            0,
            1,
            metavar="X",
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="End before this text. May be given several times.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        options.number(
            "Make sampling repeatable; with --base-url, if the server allows extensions.  "
            "[default: random]",
            0,
            2**64 - 1,
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the complete answer as one JSON object.")
    ] = False,
    model: options.Model = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send the prompt to this server, such as http://127.0.0.1:8000, with the key in "
            "TENUTO_API_KEY or ANTHROPIC_API_KEY.  [default: $TENUTO_BASE_URL, if it is set]",
        ),
    ] = None,
    config: options.Config = None,
) -> None:
    """Complete a prompt, and print the answer while it arrives.

    A text is wrapped into one Human turn, "\\n\\nHuman: TEXT\\n\\nAssistant:"; --raw leaves it
    unchanged. Without --base-url no server is needed: the engine of the settings (`tenuto config`
    prints them) is started for this prompt.

    \b
    tenuto complete "What is the capital of France?"
    tenuto complete --system "Answer in one word." < question.txt
    tenuto complete --raw "Once upon a time" --max-tokens 50
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.cli.answer import Answer
    from tenuto.prompt.turns import human_turn

    if raw and system is not None:
        raise Failure(
            "--system and --raw are mutually exclusive; write the system text into the raw text", 2
        )
    before, text = _checked_system(system or ""), _read(prompt)
    if "" in (stop or []):
        raise Failure(
            "--stop: stop_sequences must not be empty; leave --stop out, or give it a text", 2
        )
    settings = load_with_origins(config).settings
    base_url = base_url or os.environ.get("TENUTO_BASE_URL", "").strip() or None
    by_name = base_url or settings.engine.name != "local"
    fields: dict[str, object] = {
        "model": (model if by_name else None) or _OFFLINE_MODEL,
        "prompt": text if raw else before + human_turn(text.strip()),
        "max_tokens_to_sample": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "stop_sequences": stop or [],
    }
    # The first space of a completion belongs to the prompt's format.
    answer = Answer(json=json, trim=not raw)
    # Imported late because each needs much that the other does not.
    if base_url:
        from tenuto.cli.server_answer import answer_by_server

        answer_by_server(base_url, fields, answer, seed=seed)
    else:
        from tenuto.cli.embedded_answer import answer_embedded

        settings = settings if by_name else options.with_model(settings, model)
        answer_embedded(settings, fields, answer, raw=raw, seed=seed)
    if answer.cut:
        hint("Cut off at the limit of tokens: --max-tokens N allows more, within the context.")
    elif not by_name and settings.engine.local.model is None:
        hint("This is the small built-in model. For larger ones: tenuto pull --help")


def _checked_system(system: str) -> str:
    from tenuto.core.prompt import ASSISTANT, HUMAN

    text = decoded(os.fsencode(system), "--system").strip()
    # `Human:` at the very start of a prompt begins a turn, too.
    if HUMAN in f"\n\n{text}" or ASSISTANT in text:
        raise Failure("--system: the system text must not hold a Human or an Assistant turn", 2)
    return text


def _read(prompt: str | None) -> str:
    if prompt is not None and prompt != "-":
        # Bytes of an argument that are not UTF-8 are surrogates here.
        text = decoded(os.fsencode(prompt), "the prompt")
    elif prompt is None and sys.stdin.isatty():
        raise Failure('no prompt: tenuto complete "Hello, world!", or pipe a text into it', 2)
    else:
        text = read_text()
    if not text or not text.strip():
        raise Failure("the prompt is empty", 2)
    return text
