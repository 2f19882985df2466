"""The engine that the settings describe, for `tenuto serve` and `tenuto complete`."""

from __future__ import annotations

from dataclasses import replace

from tenuto.settings import EngineSettings, Settings


def with_model(settings: Settings, model: str | None) -> Settings:
    """Return the settings with the model of an option, if it was given."""
    if model is None:
        return settings
    engine = settings.engine
    return replace(settings, engine=replace(engine, local=replace(engine.local, model=model)))


def with_model_file(settings: Settings) -> Settings:
    """Return the settings with the file of the model that they name; download it if need be.

    Raises:
        Failure: There is no such model, or it cannot be downloaded.
    """
    engine = settings.engine
    if not _runs_here(engine) or engine.local.model is None:
        return settings
    from tenuto.cli.fetch import model_file

    path = model_file(engine.local.model, settings.models)
    return replace(settings, engine=replace(engine, local=replace(engine.local, model=path)))


def _runs_here(engine: EngineSettings) -> bool:
    """Return whether the embedded engine answers, to all requests or to some."""
    upstreams = engine.upstreams.values()
    return engine.name == "local" or any(one.kind == "local" for one in upstreams)
