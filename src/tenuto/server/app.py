"""Wiring only: settings -> the ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp

from tenuto.engine.base import Engine
from tenuto.server.complete import CompleteEndpoint
from tenuto.server.errors import on_api_error, on_bug, on_http_exception
from tenuto.server.health import HealthEndpoints
from tenuto.server.middleware.request_id import RequestIdMiddleware
from tenuto.settings import Settings
from tenuto.wire.errors import ApiError


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
    app = Starlette(
        routes=[
            Route("/v1/complete", CompleteEndpoint(engine, settings.server), methods=["POST"]),
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
    # Outermost, so that answers to bugs are named too.
    return RequestIdMiddleware(app)
