"""`tenuto compare`: verdicts about the comparisons of two upstreams."""

from __future__ import annotations

import json as json_format
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tenuto.cli import options, output
from tenuto.cli.failure import Failure
from tenuto.cli.terminal import note

if TYPE_CHECKING:
    from tenuto.compare.rows import Run


def compare(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="File of comparisons: of [engine.shadow], or a new one with --prompts.",
        ),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="JSON lines or CSV, as for tenuto batch, to complete twice."
        ),
    ] = None,
    a: Annotated[
        str | None,
        typer.Option(
            "--a", metavar="ROUTE", help="First upstream of the settings: NAME or NAME:MODEL."
        ),
    ] = None,
    b: Annotated[
        str | None, typer.Option("--b", metavar="ROUTE", help="Second upstream, in the same form.")
    ] = None,
    noise: Annotated[
        bool,
        typer.Option("--noise", help="Complete each prompt twice with the first upstream, too."),
    ] = False,
    keep_texts: Annotated[
        bool, typer.Option("--keep-texts", help="Write prompts and answers into RUN and the page.")
    ] = False,
    concurrency: Annotated[
        int, options.number("Prompts of --prompts at the same time.", 1, 1000)
    ] = 4,
    max_tokens: options.MaxTokens = 300,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    config: options.Config = None,
) -> None:
    """Report how much the answers of two upstreams differ, with a verdict for each route.

    The verdict compares with noise: how much two answers of the first upstream differ. The page
    loads nothing from anywhere. It holds texts only if they were kept.

    \b
    tenuto compare comparison.jsonl --html report.html
    tenuto compare --prompts prompts.jsonl --a claude:claude-haiku-4-5 --b qwen --noise
    """  # noqa: D301 - `\b` tells typer to keep these lines
    offline = (prompts, a, b)
    if any(offline) and not all(offline):
        raise Failure("--prompts, --a and --b belong together", 2)
    if html is not None:
        _check_page(html, [path for path in (run, prompts) if path is not None])
    if prompts is not None and a is not None and b is not None:
        from tenuto.cli.compare_prompts import Offline, compared

        offline_run = Offline(prompts, a, b, noise, keep_texts, concurrency)
        found = compared(offline_run, run, max_tokens, config)
    elif run is None:
        raise Failure("name a file of comparisons, or --prompts, --a and --b", 2)
    else:
        found = _read(run)
    if html is not None:
        from tenuto.compare.page import page

        title = f"Comparison {run.name if run is not None else f'of {a} and {b}'}"
        html.touch()
        if any(row.texts is not None for row in found.rows):
            # As the file of comparisons, which is for its owner.
            html.chmod(0o600)
        html.write_text(page(found, title), encoding="utf-8")
        note(f"{html} has the report.")
    if json:
        _print_json(found)
    else:
        _print(found)


def _check_page(html: Path, others: list[Path]) -> None:
    """Refuse a place for the page before anything is completed for it."""
    if not html.parent.is_dir():
        raise Failure(f"--html: {html.parent}: No such folder", 2)
    if html.is_dir() or any(html.resolve() == other.resolve() for other in others):
        raise Failure(f"--html: {html}: name another file for the page", 2)


def _read(path: Path) -> Run:
    from tenuto.compare.rows import read_run

    with path.open("rb") as file:
        run = read_run(file)
    if run.invalid and not run.rows:
        raise Failure(
            f"{path}: no line of it is a comparison; name a file that [engine.shadow] or "
            "tenuto compare --prompts has written",
            2,
        )
    if run.invalid:
        note(f"{path}: {run.invalid:,} lines are not comparisons, and are left out.")
    return run


def _print(run: Run) -> None:
    from tenuto.compare.figures_text import rows_of
    from tenuto.compare.summary import summarise
    from tenuto.compare.verdict import verdict

    routes = summarise(run.rows)
    if not routes:
        note("No comparisons are recorded.")
    for number, route in enumerate(routes):
        if number:
            output.line()
        judged = verdict(route)
        output.line(f"{route.requested}: {route.present} -> {route.candidate}")
        for text in (judged.headline, *judged.reasons):
            output.line(output.wrapped(f"  {text}", "  "))
        rows = [("", route.present, route.candidate), *rows_of(route)]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for name, first, second in rows:
            output.line(f"  {name:{widths[0]}}  {first:>{widths[1]}}  {second:>{widths[2]}}")
        for text, count in route.warnings.most_common(20):
            output.line(output.wrapped(f"  changed in {count:,} requests: {text}", "    "))


def _print_json(run: Run) -> None:
    from tenuto.compare.summary import summarise
    from tenuto.compare.verdict import verdict

    routes = [{**_plain(route), "verdict": _plain(verdict(route))} for route in summarise(run.rows)]
    whole = {"comparisons": len(run.rows), "invalid": run.invalid, "routes": routes}
    output.line(json_format.dumps(whole, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    """Return figures as JSON has them, with names for the parts of tuples."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value._asdict() if hasattr(value, "_asdict") else value
