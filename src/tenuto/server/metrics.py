"""`GET /metrics`: the figures of the server for Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from tenuto.core.addresses import is_loopback
from tenuto.core.extras import needs
from tenuto.core.refusal import Kind, Refusal
from tenuto.engine.base import Capabilities, Engine, UpstreamState
from tenuto.operations.metrics import families
from tenuto.operations.metrics.figures import Figures
from tenuto.operations.metrics.labels import RequestLabels
from tenuto.operations.metrics.sources import write_book, write_idempotency, write_reloads
from tenuto.operations.metrics.tally import RequestTally
from tenuto.operations.records import RequestRecord
from tenuto.server.auth import authenticated
from tenuto.server.dispatch import Route, responding
from tenuto.server.settlement import outcome_name
from tenuto.server.shadow.copies import OUTCOMES
from tenuto.server.shadow.shadow import Shadow
from tenuto.server.shared import Shared
from tenuto.settings import EngineSettings, MetricSettings
from tenuto.version import __version__
from tenuto.wire.names import MESSAGES_MODELS, TEXT_MODELS


class Metrics:
    """An observer that counts requests, with the route that reports all figures.

    Args:
        settings: Of the figures.
    """

    def __init__(self, settings: MetricSettings) -> None:
        self._tally = RequestTally(RequestLabels(settings.max_keys))

    def ended(self, record: RequestRecord) -> None:
        assert record.outcome is not None
        self._tally.count(record, outcome_name(record.outcome))

    def route(self, shared: Shared) -> Route:
        """Return the route for some settings, whose names of models and upstreams become known."""
        engine = shared.settings.engine
        self._tally.add_names(_models(engine, shared.engine.capabilities), engine.upstreams)

        async def scrape(request: Request) -> Response:
            await _check_access(request, shared)
            others = shared.sum_figures
            figures = self.figures(shared) if others is None else await others()
            accept = request.headers.get("accept", "")
            # Rendering takes 2 ms for a hundred series; the first one also imports the library.
            body, content_type = await asyncio.to_thread(_render, figures, accept)
            return Response(body, headers={"content-type": content_type})

        return Route("GET", "/metrics", responding(scrape), in_api=False)

    def figures(self, shared: Shared) -> Figures:
        """Return the figures of this process."""
        figures = Figures()
        self._tally.write(figures)
        _write_engine(shared.engine, figures)
        if (book := shared.accounts.book) is not None:
            write_book(book, figures)
        write_idempotency(asdict(shared.idempotency.counts), figures)
        write_reloads(shared.reloads, figures)
        _write_shadow(shared.shadow, figures)
        figures.samples[families.BUILD.name] = {(__version__,): 1}
        return figures


def _models(engine: EngineSettings, capabilities: Capabilities) -> Iterator[str]:
    """Yield the names of models in the settings, and of those that the service published."""
    yield from TEXT_MODELS
    yield from MESSAGES_MODELS
    yield from capabilities.names()
    for upstream in engine.upstreams.values():
        if upstream.model is not None:
            yield upstream.model
    for route in engine.routes:
        yield from (name for name in route.models if "*" not in name)
        yield from (model for _, model in route.hops() if model is not None)


async def _check_access(request: Request, shared: Shared) -> None:
    """Let callers with a key read the figures; without any keys, only those of this machine.

    Raises:
        Refusal: The key is missing or invalid.
    """
    account = authenticated(request.scope, shared.accounts).account
    if account.entry is None and not is_loopback(shared.settings.server.host):
        raise Refusal(
            Kind.UNAUTHENTICATED,
            "metrics: a server that other machines can reach reports them to callers with an API "
            "key only, and this one has no keys. Make one with `tenuto keys create NAME`.",
        )


def _render(figures: Figures, accept: str) -> tuple[bytes, str]:
    # Imported late because the library takes 40 ms, which must not delay the start.
    with needs("server", "GET /metrics"):
        from tenuto.operations.metrics.exposition import exposition

    return exposition(figures, accept)


def _write_shadow(shadow: Shadow, figures: Figures) -> None:
    """Write the number of copies by their outcome, and of lost comparisons."""
    if shadow.copies is not None or shadow.counts:
        counts = shadow.counts
        figures.samples[families.SHADOW.name] = {(name,): counts[name] for name in OUTCOMES}
        figures.set(families.SHADOW_LOST, shadow.lost)


def _write_engine(engine: Engine, figures: Figures) -> None:
    """Write the state of the engine and of its upstreams."""
    health, blocks = engine.health(), engine.capabilities.kv_blocks
    figures.set(families.RUNNING, health.running)
    figures.set(families.WAITING, health.waiting)
    # Without a KV cache of its own, the engine has no such figure.
    if blocks:
        figures.set(families.KV_CACHE, health.kv_blocks_reserved / blocks)
    figures.set(families.PREFIX_HITS, health.prefix_hits)
    figures.set(families.PREFIX_QUERIES, health.prefix_queries)
    figures.set(families.RESTARTS, health.restarts)
    figures.samples[families.UPSTREAM_STATE.name] = {
        (name, state): upstream.state is state
        for name, upstream in health.upstreams.items()
        for state in UpstreamState
    }
    figures.set(families.RETRIES, health.retries)
    figures.set(families.FALLBACKS, health.fallbacks)
    figures.set(families.RESUMES, health.resumes)
