"""GET /health and GET /ready: for whoever watches the server."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tenuto.engine.base import Engine


class HealthEndpoints:
    """Whether the process lives, and whether the engine behind it can answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def health(self, request: Request) -> Response:
        """200 as long as the server runs at all."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200 when the model is loaded, else 503; the body has the engine's counters."""
        status = await self._engine.ping()
        return JSONResponse(asdict(status), 200 if status.ready else 503)
