"""`tenuto cassette`: recorded completions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tenuto.cli import cassettes, output
from tenuto.cli.failure import Failure
from tenuto.cli.table import print_table
from tenuto.cli.terminal import note

cassette: typer.Typer = typer.Typer(
    help="Show, check and change recorded completions.", rich_markup_mode=None
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The cassette.")]
_EXCERPT = 40


@cassette.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@cassette.command("show", short_help="List the recordings, or print one.")
def show(
    file: File,
    line: Annotated[
        int | None, typer.Argument(metavar="LINE", help="Print this line of the file as JSON.")
    ] = None,
) -> None:
    """List the recordings of a cassette, or print one.

    `ms` is the time to the last piece, `end` the stop reason, the stop sequence or the error.
    """
    from tenuto.cassette.edits import reading
    from tenuto.cassette.exchange import InvalidLine

    rows, damaged = [], 0
    with _explained(), reading(file) as reader:
        for place, exchange in reader.exchanges():
            if isinstance(exchange, InvalidLine):
                damaged += 1
                if line in (None, place.number):
                    note(f"{file}: line {place.number} {exchange}")
                continue
            if line == place.number:
                output.line(_printable(json.dumps(json.loads(exchange.line()), indent=2), "\n"))
                return
            usage, finish = exchange.usage or {}, exchange.finish or {}
            end = finish.get("stop") or finish.get("stop_reason")
            if exchange.error is not None:
                end = exchange.error["kind"]
            prompt = " ".join(str(exchange.request.get("prompt", ""))[:400].split())
            rows.append(
                (
                    str(place.number),
                    _printable(exchange.at[:19]),
                    _printable(str(exchange.request.get("model", ""))[:_EXCERPT]),
                    _count(usage.get("input_tokens")),
                    _count(usage.get("output_tokens")),
                    f"{exchange.pieces[-1][0]:.0f}" if exchange.pieces else "",
                    _printable(str(end or "count")[:_EXCERPT]),
                    _printable(prompt if len(prompt) <= _EXCERPT else prompt[:_EXCERPT] + "…"),
                )
            )
    if line is not None:
        raise Failure(f"{file}: line {line} is not there, or is damaged", 2)
    if damaged and not rows:
        raise Failure(f"{file}: has no recording; is it a cassette?", 2)
    titles = ("LINE", "AT", "MODEL", "IN", "OUT", "MS", "END", "PROMPT")
    print_table(titles, rows, numbers=("LINE", "IN", "OUT", "MS"))


@cassette.command("check", short_help="Find damage, wrong keys and secrets.")
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The cassettes.")],
    scrub: cassettes.Scrub = None,
) -> None:
    """Find damaged lines, keys that are not those of their requests, and secrets.

    Torn lines do no harm: a replay leaves them out. The exit code is 1 if something is found, else
    0.
    """
    from tenuto.cassette.edits import findings_of
    from tenuto.cassette.index import scrubber_of

    found = 0
    with _explained():
        scrubber = scrubber_of(scrub or ())
        for file in files:
            for finding in findings_of(file, scrubber):
                found += 1
                output.line(f"{file}:{finding.number}: {finding.reason}")
    if found:
        raise typer.Exit(1)
    note(f"{len(files)} cassettes are in order." if len(files) > 1 else f"{files[0]} is in order.")


@cassette.command("scrub", short_help="Remove keys, and what patterns match.")
def scrub_(
    file: File,
    scrub: cassettes.Scrub = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write to this file.  [default: the cassette itself]"),
    ] = None,
) -> None:
    """Replace keys, and what patterns match, by `[scrubbed]`, in requests and completions.

    The file is replaced at once. Damaged lines are left out.
    """
    from tenuto.cassette import edits
    from tenuto.cassette.index import scrubber_of

    with _explained():
        result = edits.scrub(file, out or file, scrubber_of(scrub or ()))
    note(
        f"{result.changed} of {result.written} recordings were changed{_left_out(result.damaged)}."
    )


@cassette.command("merge", short_help="Join cassettes.")
def merge(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The new cassette.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The cassettes.")],
) -> None:
    """Write the recordings of cassettes into a new one, in the order in which they began.

    Of equal lines one is kept. Damaged lines are left out.
    """
    from tenuto.cassette import edits

    with _explained():
        result = edits.merge(files, target)
    equal = f", {result.changed} equal lines were left out" if result.changed else ""
    note(f"{result.written} recordings are in {target}{equal}{_left_out(result.damaged)}.")


@contextmanager
def _explained() -> Iterator[None]:
    from tenuto.cassette.file import CassetteError

    try:
        yield
    except CassetteError as error:
        raise Failure(str(error), 2) from None


def _left_out(damaged: int) -> str:
    return f", {damaged} damaged lines were left out" if damaged else ""


def _count(value: int | None) -> str:
    return "" if value is None else str(value)


def _printable(text: str, allowed: str = "") -> str:
    """Return a text that cannot control a terminal."""
    return "".join(char if char.isprintable() or char in allowed else "?" for char in text)
