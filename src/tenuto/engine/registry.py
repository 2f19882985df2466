"""Name -> engine. An engine is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.core.extras import needs
from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings
from tenuto.settings.upstreams import (
    LocalUpstream,
    Upstream,
    api_root,
    hop_of,
    routes_of,
)

if TYPE_CHECKING:
    from tenuto.engine.local.description import Description


def create(settings: EngineSettings) -> Engine:
    """Makes the engine that the settings name. It does not start it.

    Raises:
        ModelError: The model file is missing, or no model of this engine; or the environment
            names a proxy for an upstream that cannot be used.
        MissingExtraError: The libraries of the engine are not installed.
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


def runtime_libraries() -> Mapping[str, str]:
    """Return the library of each runtime, by the runtime's name. It imports none of them."""
    from tenuto.engine.local.runtimes import runtimes

    return {name: kind.library for name, kind in runtimes().items()}


def built_in() -> tuple[str, Path]:
    """The built-in model: its name and its file."""
    from tenuto.engine.local.built_in import BUILT_IN, built_in_model

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
    from tenuto.engine.upstream.routing import Hop, Route, RoutingEngine
    from tenuto.engine.upstream.routing import Upstream as Routed

    upstreams = {
        name: Routed(
            _upstream(name, one, settings),
            Breaker(one.breaker_failures, one.breaker_pause_s, monotonic),
            one.model,
        )
        for name, one in settings.upstreams.items()
    }
    routes = [
        Route(
            route.models,
            [Hop(*hop_of(hop)) for hop in route.to],
            route.weights or (),
            route.max_retries,
            route.first_byte_timeout_s,
        )
        for route in routes_of(settings.upstreams, settings.routes)
    ]
    return RoutingEngine(upstreams, routes, Random())


def _upstream(name: str, upstream: Upstream, settings: EngineSettings) -> Engine:
    if isinstance(upstream, LocalUpstream):
        return _local(settings)
    with needs("routes", f"the engine of upstream `{name}`"):
        from tenuto.engine.upstream.connection import Address
        from tenuto.engine.upstream.engine import UpstreamEngine

    address = Address(
        name,
        api_root(upstream.base_url),
        upstream.connect_timeout_s,
        upstream.read_timeout_s,
        upstream.api_key,
        upstream.forward_key,
        upstream.basic_auth,
    )
    return UpstreamEngine(address, upstream)


_FACTORIES: dict[str, Callable[[EngineSettings], Engine]] = {
    "echo": _echo,
    "local": _local,
    "routes": _routes,
}
