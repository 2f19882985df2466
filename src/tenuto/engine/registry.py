"""Name -> engine. An engine is imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tenuto.engine.base import Engine
from tenuto.settings import EngineSettings
from tenuto.settings_upstreams import (
    LocalUpstream,
    MessagesUpstream,
    OpenAIUpstream,
    TenutoUpstream,
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
    from tenuto.engine.upstream import completions
    from tenuto.engine.upstream.connection import Address
    from tenuto.engine.upstream.engine import UpstreamEngine
    from tenuto.engine.upstream.messages import MessagesTarget
    from tenuto.engine.upstream.openai import OpenAITarget

    address = Address(
        name,
        api_root(upstream.base_url),
        upstream.connect_timeout_s,
        upstream.read_timeout_s,
        upstream.api_key,
        upstream.forward_key,
        upstream.basic_auth,
    )
    most = upstream.max_output_tokens
    match upstream:
        case MessagesUpstream():
            known = {
                "prefill": upstream.takes_prefill,
                "sampling": upstream.takes_sampling,
                "both": upstream.takes_both,
                "max_output_tokens": upstream.max_output_tokens,
            }
            known = {name: value for name, value in known.items() if value is not None}
            return UpstreamEngine(address, MessagesTarget(upstream.prefill, known).ask)
        case OpenAIUpstream():
            target = OpenAITarget(
                upstream.chat,
                upstream.takes_prefill,
                upstream.prefill,
                upstream.takes_top_k,
                upstream.takes_seed,
                upstream.takes_stream_options,
            )
            return UpstreamEngine(address, target.ask, bearer=True, max_output_tokens=most)
        case TenutoUpstream():
            return UpstreamEngine(address, completions.ask, max_output_tokens=most)


_FACTORIES: dict[str, Callable[[EngineSettings], Engine]] = {
    "echo": _echo,
    "local": _local,
    "routes": _routes,
}
