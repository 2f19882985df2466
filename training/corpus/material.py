"""Reading the hand-written material: TOML files in the folder ``material`` beside this module."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "material"


@cache
def load(name: str) -> dict[str, Any]:
    """The content of ``material/<name>.toml``; callers must not change what they get."""
    with (FOLDER / f"{name}.toml").open("rb") as file:
        return tomllib.load(file)
