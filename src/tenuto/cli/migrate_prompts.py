"""`tenuto migrate prompts`: convert files of prompts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tenuto.cli import output
from tenuto.cli.failure import Failure
from tenuto.cli.options import choice
from tenuto.cli.terminal import note
from tenuto.core.text import encoded

_STYLES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


def prompts(
    source: Annotated[
        Path,
        typer.Argument(metavar="IN", help="File of prompts; - reads standard input."),
    ],
    target: Annotated[
        Path | None,
        typer.Argument(metavar="OUT", help="File for the result.  [default: standard output]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="OUT", help="The same as the argument OUT.")
    ] = None,
    style: Annotated[
        str | None,
        choice(
            "text (one prompt), jsonl (an object or a string on each line) or csv.  [default: by "
            "the name of IN; text for -]",
            *("text", "jsonl", "csv"),
            metavar="FORMAT",
            name="--format",
        ),
    ] = None,
    column: Annotated[
        str, typer.Option(metavar="NAME", help="Field or column of the prompt.")
    ] = "prompt",
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Model that gets the prompts.")
    ] = "claude-haiku-4-5",
    sampling: Annotated[
        str,
        choice(
            "temperature, top_p and top_k: drop or keep them.",
            *("keep", "drop"),
            metavar="keep|drop",
        ),
    ] = "drop",
) -> None:
    r"""Convert prompts with \n\nHuman: and \n\nAssistant: turns to JSON of the Messages API.

    Each line of the result is an object with `messages`, perhaps `system`, and the other fields
    under their new names. Prompts that do not convert one to one are reported on standard error;
    with invalid ones the exit code is 1.

    tenuto migrate prompts prompts.jsonl messages.jsonl
    """
    from tenuto.engine.upstream.capabilities import capabilities_of
    from tenuto.migrate.prompt_files import MOST_BYTES, Target, convert
    from tenuto.migrate.reports import counted

    if out is not None and target is not None:
        raise Failure("--out: OUT is given as an argument, too; leave one of them out", 2)
    destination = out or target
    if destination is not None and destination.is_file():
        # A pattern such as `*.jsonl` gives a second file of prompts.
        raise Failure(f"{destination}: exists; write into a new file", 2)
    try:
        if str(source) == "-":
            data = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with source.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise Failure(f"{source}: {error.strerror}", 2) from None
    if len(data) > MOST_BYTES:
        raise Failure(f"{source}: has more than {MOST_BYTES:,} bytes; split it", 2)
    style = style or _STYLES.get(source.suffix.lower(), "text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Failure(
            f"{source}: is not UTF-8; convert it, such as with iconv -f LATIN1 -t UTF-8", 2
        ) from None
    model_target = Target(model, capabilities_of(model).prefill, sampling == "keep")
    try:
        result = convert(text, style, model_target, column)
    except ValueError as error:
        raise Failure(f"{source}: {error}", 2) from None
    lines = "".join(f"{_line(row)}\n" for row in result.rows)
    if destination is None:
        output.write(lines)
    else:
        _write(destination, lines)
    for remark in result.remarks:
        word = "invalid: " if remark.is_error else ""
        message = remark.message.replace("\n", "\\n")
        note(f"{source}:{remark.line}: {word}{message}")
    errors = sum(remark.is_error for remark in result.remarks)
    note(f"{counted(len(result.rows), 'prompt')} converted, {errors:,} invalid.")
    if errors:
        raise typer.Exit(1)


def _write(path: Path, text: str) -> None:
    """Write a new file, or none."""
    try:
        try:
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError:
            if path.is_file():
                path.unlink()
            raise
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", 2) from None


def _line(row: dict[str, Any]) -> str:
    line = json.dumps(row, ensure_ascii=False)
    # Half of a surrogate pair is valid in JSON's escapes alone.
    return line if encoded(line).decode() == line else json.dumps(row)
