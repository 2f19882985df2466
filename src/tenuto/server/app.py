"""Wiring only: settings -> the ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from tenuto.core.refusal import Refusal
from tenuto.engine.base import Engine
from tenuto.server.auth import Keys
from tenuto.server.client_address import TrustedProxies
from tenuto.server.complete import CompleteEndpoint
from tenuto.server.errors import on_api_error, on_bug, on_http_exception
from tenuto.server.health import HealthEndpoints
from tenuto.server.loopback import is_loopback
from tenuto.server.main_route import MainRoute
from tenuto.server.middleware.host import HostMiddleware
from tenuto.server.middleware.record import RecordMiddleware
from tenuto.server.middleware.whole_body import WholeBodyMiddleware
from tenuto.server.models import ModelEndpoints
from tenuto.server.openapi import openapi
from tenuto.server.request_log import RequestLog
from tenuto.server.shutdown import Shutdown
from tenuto.settings import Settings
from tenuto.wire.completions.extensions import USAGE_HEADERS


def create_app(
    settings: Settings,
    engine: Engine,
    *,
    log: RequestLog | None = None,
    log_requests: bool = True,
    shutdown: Shutdown | None = None,
) -> ASGIApp:
    """The application. It starts the engine when it starts, and closes it when it ends.

    Args:
        settings: All settings.
        engine: Who answers, not started yet: see `tenuto.engine.registry.create`.
        log: Gets a line for each request; None for one with these settings.
        log_requests: Whether it does. Inside a client they are no news.
        shutdown: Ends running answers before the engine is closed; None if that ends them.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.aclose()

    health = HealthEndpoints(engine, extensions=settings.api.extensions)
    keys = Keys(settings.server.api_keys)
    models = ModelEndpoints(engine, keys, strict=settings.api.strict_models)
    complete = CompleteEndpoint(engine, settings, keys, shutdown or Shutdown())
    app = Starlette(
        routes=[
            Route("/v1/complete", complete, methods=["POST"]),
            Route("/v1/models", models.list, methods=["GET"]),
            Route("/v1/models/{model_id:path}", models.retrieve, methods=["GET"]),
            Route("/openapi.json", openapi(settings.api.extensions), methods=["GET"]),
            Route("/health", health.health, methods=["GET"]),
            Route("/ready", health.ready, methods=["GET"]),
        ],
        exception_handlers={
            Refusal: on_api_error,
            HTTPException: on_http_exception,
            Exception: on_bug,
        },
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    guarded: ASGIApp = MainRoute(complete, app)
    if settings.server.cors_origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=settings.server.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            # Chrome asks for this before a page of the internet may reach this machine.
            allow_private_network=True,
            expose_headers=["request-id", *(USAGE_HEADERS if settings.api.extensions else ())],
        )
    if is_loopback(settings.server.host):
        guarded = HostMiddleware(guarded, settings.server.allowed_hosts)
    guarded = WholeBodyMiddleware(guarded, settings.limits)
    # Outermost, so that all answers are named and logged, those to bugs too.
    log = log or RequestLog(TrustedProxies(settings.server.trusted_proxies), enabled=log_requests)
    return RecordMiddleware(guarded, settings.api.organization_id, log)
