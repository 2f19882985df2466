"""Engines by name. Each is imported only when it is created."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.core.extras import needs
from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings
from tenuto.settings.upstreams import LocalUpstream, Upstream

if TYPE_CHECKING:
    from tenuto.engine.local.description import Description


def create(settings: EngineSettings) -> Engine:
    """Create the engine that the settings name, without starting it.

    Raises:
        ModelError: The model file is missing or unsupported, or the environment names a proxy that
            cannot be used for an upstream.
        MissingExtraError: The libraries of the engine are not installed.
        ValueError: The name is unknown.
    """
    factory = _FACTORIES.get(settings.name)
    if factory is None:
        raise ValueError(f"unknown engine `{settings.name}`; use one of: {', '.join(_FACTORIES)}")
    return factory(settings)


def describe(model: Path) -> Description:
    """Describe a model file, and the runtime for it on this machine. Never raises."""
    from tenuto.engine.local.description import describe

    return describe(model)


def runtime_libraries() -> Mapping[str, str]:
    """Return the library of each runtime, by the runtime's name, without importing any."""
    from tenuto.engine.local.runtimes import runtimes

    return {name: kind.library for name, kind in runtimes().items()}


def built_in() -> tuple[str, Path]:
    """Return name and file of the built-in model."""
    from tenuto.engine.local.model_file import BUILT_IN, built_in_model

    return BUILT_IN, built_in_model()


def _local(settings: EngineSettings) -> Engine:
    from tenuto.engine.local.engine import LocalEngine

    return LocalEngine(settings.local)


def _echo(settings: EngineSettings) -> Engine:
    from tenuto.engine.echo import EchoEngine

    return EchoEngine()


def _routes(settings: EngineSettings) -> Engine:
    from random import Random
    from time import monotonic

    from tenuto.engine.upstream.breaker import Breaker
    from tenuto.engine.upstream.route import RouteSettings
    from tenuto.engine.upstream.routing import RoutingEngine
    from tenuto.engine.upstream.routing import Upstream as Routed

    upstreams = {
        name: Routed(
            _upstream(name, one, settings),
            Breaker(one.breaker_failures, one.breaker_pause_s, monotonic),
            one.model,
        )
        for name, one in settings.upstreams.items()
    }
    # By default all names lead to all upstreams, in their order.
    routes = settings.routes or [RouteSettings(("*",), tuple(upstreams))]
    return RoutingEngine(upstreams, routes, Random())


def _upstream(name: str, upstream: Upstream, settings: EngineSettings) -> Engine:
    if isinstance(upstream, LocalUpstream):
        return _local(settings)
    with needs("routes", f"the engine of upstream `{name}`"):
        from tenuto.engine.upstream.engine import UpstreamEngine
    return UpstreamEngine(name, upstream)


_FACTORIES: dict[str, Callable[[EngineSettings], Engine]] = {
    "echo": _echo,
    "local": _local,
    "routes": _routes,
}
