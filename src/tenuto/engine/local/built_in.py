"""The model in the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

BUILT_IN: Final = "tenuto-mini"


def built_in_model() -> Path:
    """Return the path of the built-in model."""
    return Path(str(resources.files("tenuto") / "builtin" / f"{BUILT_IN}.gguf"))
