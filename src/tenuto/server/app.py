"""Wiring only: settings -> the ASGI application."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from tenuto.engine.base import Engine
from tenuto.server.auth import Keys
from tenuto.server.complete import CompleteEndpoint
from tenuto.server.errors import on_api_error, on_bug, on_http_exception
from tenuto.server.health import HealthEndpoints
from tenuto.server.main_route import MainRoute
from tenuto.server.middleware.host import HostMiddleware
from tenuto.server.middleware.request_id import RequestIdMiddleware
from tenuto.server.middleware.whole_body import WholeBodyMiddleware
from tenuto.server.models import ModelEndpoints
from tenuto.server.openapi import openapi
from tenuto.settings import Settings
from tenuto.wire.errors import ApiError
from tenuto.wire.extensions import USAGE_HEADERS


def create_app(settings: Settings, engine: Engine) -> ASGIApp:
    """The application. It starts the engine when it starts, and closes it when it ends.

    Args:
        settings: All settings.
        engine: Who answers, not started yet: see `tenuto.engine.registry.create`.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await engine.start()
        try:
            yield
        finally:
            await engine.aclose()

    health = HealthEndpoints(engine)
    keys = Keys(settings.server.api_keys)
    models = ModelEndpoints(engine, keys, strict=settings.api.strict_models)
    complete = CompleteEndpoint(engine, settings, keys)
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
            ApiError: on_api_error,
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
            expose_headers=["request-id", *(USAGE_HEADERS if settings.api.extensions else ())],
        )
    if is_loopback(settings.server.host):
        guarded = HostMiddleware(guarded, settings.server.allowed_hosts)
    guarded = WholeBodyMiddleware(guarded, settings.limits)
    # Outermost, so that all answers are named, those to bugs too.
    return RequestIdMiddleware(guarded, settings.api.organization_id)


def is_loopback(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
