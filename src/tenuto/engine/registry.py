"""Name -> engine. An engine is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings

if TYPE_CHECKING:
    from tenuto.engine.local.description import Description


def create(settings: EngineSettings) -> Engine:
    """Makes the engine that the settings name. It does not start it.

    Raises:
        ModelError: The model file is missing, or no model of this engine.
        ValueError: There is no engine of that name.
    """
    factory = _FACTORIES.get(settings.name)
    if factory is None:
        raise ValueError(f"no engine `{settings.name}`; there are: {', '.join(sorted(_FACTORIES))}")
    return factory(settings)


def describe(model: Path) -> Description:
    """What a model file is, and what would run it here. It never raises."""
    from tenuto.engine.local.description import describe

    return describe(model)


def built_in() -> tuple[str, Path]:
    """The built-in model: its name and its file."""
    from tenuto.engine.local.engine import BUILT_IN, built_in_model

    return BUILT_IN, built_in_model()


def _local(settings: EngineSettings) -> Engine:
    from tenuto.engine.local.engine import LocalEngine

    return LocalEngine(settings.local)


def _echo(settings: EngineSettings) -> Engine:
    from tenuto.engine.echo import EchoEngine

    return EchoEngine()


_FACTORIES: dict[str, Callable[[EngineSettings], Engine]] = {"echo": _echo, "local": _local}
