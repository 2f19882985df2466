"""`tenuto models`: list the models on this machine."""

from __future__ import annotations

import dataclasses
import json as json_format
from dataclasses import dataclass
from typing import Annotated

import typer

from tenuto.cli import options, output
from tenuto.cli.table import print_table
from tenuto.cli.terminal import hint, note
from tenuto.models.errors import size_text
from tenuto.models.folder import ModelFolder

_TITLES = ("NAME", "SIZE", "ARCHITECTURE", "QUANTISATION", "CONTEXT", "RUNTIME")
_NUMBERS = ("SIZE", "CONTEXT")


@dataclass(frozen=True, slots=True)
class _Row:
    """A model in the list. The field names are the keys of `--json`."""

    name: str
    size_bytes: int
    architecture: str | None
    quantisation: str | None
    context_length: int | None
    runtime: str | None
    reason: str
    path: str
    why: str = ""
    tuning: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the texts of the columns of `_TITLES`."""
        return (
            self.name,
            size_text(self.size_bytes),
            self.architecture or "-",
            self.quantisation or "-",
            f"{self.context_length:,}" if self.context_length else "-",
            self._runtime_cell(),
        )

    def _runtime_cell(self) -> str:
        if self.runtime is None:
            return f"none: {self.reason}"
        # A valid tuning is the reason.
        reasons = [self.tuning] if self.tuning.startswith("tuned:") else [self.why, self.tuning]
        return "; ".join(filter(None, (self.runtime, *reasons)))


def models(
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead.")] = False,
    config: options.Config = None,
) -> None:
    """List the built-in model and the downloaded models, the runtime of each, and why."""
    folder = options.model_folder(config)
    rows = _rows(folder)
    if json:
        listed = [dataclasses.asdict(row) for row in rows]
        output.line(json_format.dumps(listed, ensure_ascii=False, indent=2))
        return
    print_table(_TITLES, [row.cells() for row in rows], _NUMBERS)
    note(f"\n{output.wrapped(f'Downloaded models are in {folder.root}')}")
    if len(rows) == 1:
        hint("Next: tenuto pull Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0")


def _rows(folder: ModelFolder) -> list[_Row]:
    from tenuto.engine.registry import built_in, describe, tunings_folder

    tunings = tunings_folder(folder.root)
    name, path = built_in()
    found = [(name, path, path.stat().st_size, True)]
    found += [(each.name, each.path, each.size, each.complete) for each in folder.models()]
    rows = []
    for name, path, size, complete in found:
        if complete:
            model = describe(path, tunings)
            facts = (model.architecture, model.quantisation, model.context, model.runtime)
            reasons = (model.why, model.tuning)
            rows.append(_Row(name, size, *facts, model.reason, str(path), *reasons))
        else:
            reason = f"not complete; tenuto pull {name}"
            rows.append(_Row(name, size, None, None, None, None, reason, str(path)))
    return rows
