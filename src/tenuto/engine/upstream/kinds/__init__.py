"""The kinds of upstream server: each module in this folder is one, found by its presence."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from tenuto.engine.upstream.kind import ServerUpstream

NAMES: Final = tuple(module.name for module in iter_modules(__path__))
"""All values of the setting `kind` except `local`, without importing a kind."""


def kind_named(name: str) -> type[ServerUpstream]:
    """Import a kind, and return its settings class: the one kind that its module defines."""
    module = import_module(f"{__name__}.{name}")
    (kind,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, ServerUpstream)
        and each.__module__ == module.__name__
    )
    return kind
