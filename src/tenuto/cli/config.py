"""`tenuto config`: the effective settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tenuto.cli.failure import Failure
from tenuto.settings import SettingsError, load

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Settings file.  [default: tenuto.toml in this folder, if it is there]",
    ),
]


def config(config: ConfigOption = None) -> None:
    """Print the effective settings as TOML, with keys masked."""
    try:
        settings = load(config)
    except SettingsError as error:
        raise Failure(str(error), 2) from None
    typer.echo("\n".join(_section(settings, "")).strip())


def _section(section: Any, name: str) -> list[str]:
    values = [(entry.name, getattr(section, entry.name)) for entry in dataclasses.fields(section)]
    plain = [(key, value) for key, value in values if not dataclasses.is_dataclass(value)]
    lines = ["", f"[{name}]"] if plain else []
    for key, value in plain:
        if key == "api_keys":
            value = ["sha256:(hidden)" for _ in value]
        lines.append(f"# {key} is not set" if value is None else f"{key} = {_toml(value)}")
    for key, value in values:
        if dataclasses.is_dataclass(value):
            lines += _section(value, f"{name}.{key}" if name else key)
    return lines


def _toml(value: Any) -> str:
    # Texts, numbers, booleans and lists of texts are written in TOML as they are in JSON.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
