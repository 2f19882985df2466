"""`tenuto config`: the effective settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
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


def _section(section: Any, name: str, *, title: str = "[{}]") -> list[str]:
    values = [(entry.name, getattr(section, entry.name)) for entry in dataclasses.fields(section)]
    plain = [(key, value) for key, value in values if not _has_sections(value)]
    lines = ["", title.format(name)] if plain else []
    for key, value in plain:
        lines.append(f"# {key} is not set" if value is None else f"{key} = {_toml(key, value)}")
    for key, value in values:
        below = f"{name}.{key}" if name else key
        if dataclasses.is_dataclass(value):
            lines += _section(value, below)
        elif isinstance(value, Mapping):
            lines += [line for each in value for line in _section(value[each], f"{below}.{each}")]
        elif _has_sections(value):
            lines += [line for each in value for line in _section(each, below, title="[[{}]]")]
    return lines


def _has_sections(value: Any) -> bool:
    """Whether a value is a section, or any number of them."""
    if isinstance(value, tuple):
        return any(dataclasses.is_dataclass(each) for each in value)
    return dataclasses.is_dataclass(value) or isinstance(value, Mapping)


def _toml(key: str, value: Any) -> str:
    if key == "api_keys":
        value = ["sha256:(hidden)" for _ in value]
    if key == "api_key":
        value = "(hidden)"
    if key == "basic_auth":
        value = "(hidden):(hidden)"
    # Texts, numbers, booleans and lists of texts are written in TOML as they are in JSON.
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)
