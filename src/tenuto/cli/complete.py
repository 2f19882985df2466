"""`tenuto complete`: one prompt, its completion on the terminal."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tenuto.cli.config import ConfigOption, read_settings, with_model
from tenuto.cli.failure import Failure
from tenuto.cli.ranges import between
from tenuto.cli.stdin import decoded, read_text

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
            help="Text before the first Human turn: how the model is to answer.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Send the text as it is, without a Human turn around it.")
    ] = False,
    max_tokens: Annotated[
        int, typer.Option(metavar="N", callback=between(1), help="Most tokens to write.")
    ] = 256,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="X",
            callback=between(0, 1),
            help="0 to 1; 0: always the likeliest token, 1: as learned.",
        ),
    ] = 0.7,
    top_k: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=between(0),
            help="Sample from the N likeliest tokens only.  [default: off]",
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            callback=between(0, 1),
            metavar="X",
            help="0 to 1; sample from the likeliest tokens that have this probability together.  "
            "[default: off]",
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
        typer.Option(
            callback=between(0, 2**64 - 1),
            metavar="N",
            help="Sample in a repeatable way; with --base-url, if the server allows extensions.  "
            "[default: random]",
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as one JSON object.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Model file, downloaded model, or hf:org/repo:file; with --base-url, or routes "
            "in the settings, the model's name.  [default: that of the settings]",
        ),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Ask this server instead of the embedded engine, for example "
            "http://127.0.0.1:8000. The key is taken from TENUTO_API_KEY or ANTHROPIC_API_KEY.  "
            "[default: $TENUTO_BASE_URL, if it is set]",
        ),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Complete a prompt, and print the completion as it comes.

    A bare text is wrapped into one Human turn, "\\n\\nHuman: TEXT\\n\\nAssistant:", and the answer
    to it is printed. With --raw the text is completed just as it stands. Without --base-url,
    no server is needed: the engine of the settings, which `tenuto config` prints, is started for
    this prompt. On a terminal, the model that answers is named.

    \b
    tenuto complete "What is the capital of France?"
    tenuto complete --system "Answer in one word." < question.txt
    tenuto complete --raw "Once upon a time" --max-tokens 50
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.cli.answer import Answer, ask_engine, ask_server
    from tenuto.prompt.turns import human_turn

    if raw and system is not None:
        raise Failure(
            "--system and --raw exclude each other: write the system text into the raw text", 2
        )
    before, text = _checked_system(system or ""), _read(prompt)
    if "" in (stop or []):
        raise Failure(
            "--stop: stop_sequences must not be empty texts; leave --stop out, or give it a text", 2
        )
    loaded = read_settings(config)
    base_url = base_url or os.environ.get("TENUTO_BASE_URL", "").strip() or None
    settings = loaded.settings
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
    # The space that a completion begins with belongs to the prompt's format, not to the answer.
    answer = Answer(json=json, trim=not raw)
    if base_url:
        ask_server(base_url, fields, answer, seed=seed)
    else:
        settings = settings if by_name else with_model(settings, model)
        ask_engine(settings, fields, answer, raw=raw, seed=seed)


def _checked_system(system: str) -> str:
    from tenuto.core.prompt import ASSISTANT, HUMAN

    text = decoded(os.fsencode(system), "--system").strip()
    # A prompt that begins with `Human:` begins with that turn.
    if HUMAN in f"\n\n{text}" or ASSISTANT in text:
        raise Failure("--system: the system text must not hold a Human or an Assistant turn", 2)
    return text


def _read(prompt: str | None) -> str:
    if prompt is not None and prompt != "-":
        # A byte of an argument that is not UTF-8 is a surrogate here.
        text = decoded(os.fsencode(prompt), "the prompt")
    elif prompt is None and sys.stdin.isatty():
        raise Failure('no prompt: tenuto complete "Hello, world!", or pipe a text into it', 2)
    else:
        text = read_text()
    if not text or not text.strip():
        raise Failure("the prompt is empty", 2)
    return text
