"""The kinds of upstream server: each module in this folder is one, and is found by its presence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from tenuto.engine.upstream.kind import ServerUpstream


def _kind_in(name: str) -> type[ServerUpstream]:
    """Return the one kind that a module defines."""
    module = import_module(f"{__name__}.{name}")
    (kind,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, ServerUpstream)
        and each.__module__ == module.__name__
    )
    return kind


SERVER_KINDS: Mapping[str, type[ServerUpstream]] = {
    module.name: _kind_in(module.name) for module in iter_modules(__path__)
}
"""The settings class of each kind, by the name that `kind` has in a settings file."""
