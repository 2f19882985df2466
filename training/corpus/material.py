"""The hand-written material: TOML files in the folder ``material`` beside this module."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "material"


@cache
def load(name: str) -> dict[str, Any]:
    """Return the content of ``material/<name>.toml``, shared by all callers: do not modify it."""
    with (FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)
