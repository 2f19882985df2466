"""`tenuto models`: what there is to run."""

from __future__ import annotations

import dataclasses
import json as json_format
import shutil
from dataclasses import dataclass
from typing import Annotated

import typer

from tenuto.cli import output
from tenuto.cli.config import ConfigOption, read_settings
from tenuto.models.errors import size_text
from tenuto.models.folder import ModelFolder
from tenuto.settings import models_folder

_UNKNOWN = "-"
_TABLE_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class _Row:
    """A model as it is listed; the keys of `--json` are these names."""

    name: str
    size_bytes: int
    architecture: str | None
    quantisation: str | None
    context_length: int | None
    runtime: str | None
    reason: str
    path: str


def models(
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead.")] = False,
    config: ConfigOption = None,
) -> None:
    """List the built-in model and the downloaded ones, and what would run each here."""
    folder = ModelFolder(models_folder(read_settings(config).settings.models))
    rows = _rows(folder)
    if json:
        listed = [dataclasses.asdict(row) for row in rows]
        output.line(json_format.dumps(listed, ensure_ascii=False, indent=2))
        return
    _print_table(rows)
    output.note(f"\nDownloaded models are in {folder.root}")


def _rows(folder: ModelFolder) -> list[_Row]:
    from tenuto.engine.registry import built_in, describe

    name, path = built_in()
    found = [(name, path, path.stat().st_size, True)]
    found += [(each.name, each.path, each.size, each.complete) for each in folder.models()]
    rows = []
    for name, path, size, complete in found:
        if not complete:
            reason = f"not complete; tenuto pull {name}"
            rows.append(_Row(name, size, None, None, None, None, reason, str(path)))
            continue
        told = describe(path)
        rows.append(
            _Row(
                *(name, size, told.architecture, told.quantisation, told.context),
                *(told.runtime, told.reason, str(path)),
            )
        )
    return rows


def _print_table(rows: list[_Row]) -> None:
    table: list[tuple[str, ...]] = [
        ("NAME", "SIZE", "ARCHITECTURE", "QUANTISATION", "CONTEXT", "RUNTIME")
    ]
    table += [
        (
            row.name,
            size_text(row.size_bytes),
            row.architecture or _UNKNOWN,
            row.quantisation or _UNKNOWN,
            f"{row.context_length:,}" if row.context_length else _UNKNOWN,
            row.runtime or f"none: {row.reason}",
        )
        for row in rows
    ]
    if shutil.get_terminal_size((100, 24)).columns < _TABLE_COLUMNS:
        _print_list(table)
        return
    widths = [max(len(line[column]) for line in table) for column in range(5)]
    for line in table:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        # Numbers end in one line, below each other.
        cells[1] = line[1].rjust(widths[1])
        cells[4] = line[4].rjust(widths[4])
        output.line("  ".join([*cells, line[5]]))


def _print_list(table: list[tuple[str, ...]]) -> None:
    """Print each model over several short lines, for a narrow terminal."""
    for row in table[1:]:
        output.line(row[0])
        for title, cell in zip(table[0][1:], row[1:], strict=True):
            output.line(f"  {title.lower():13} {cell}")
