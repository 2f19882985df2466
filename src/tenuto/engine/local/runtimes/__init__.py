"""Table of runtimes: each module or package in this folder is one, named like its setting.

Each has a constant `RUNTIME`, a `RuntimeKind`, and imports its library only to load a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tenuto.engine.local.runtime import RuntimeKind

NAMES: Final = tuple(module.name for module in iter_modules(__path__))
"""Values of the setting `runtime`, except `auto`."""


@cache
def runtimes() -> Mapping[str, RuntimeKind]:
    """Return all runtimes by name, in the order of their ranks, installed or not."""
    found: dict[str, RuntimeKind] = {
        name: import_module(f"{__name__}.{name}").RUNTIME for name in NAMES
    }
    return dict(sorted(found.items(), key=lambda item: item[1].rank))
