"""GET /health and GET /ready, liveness and readiness probes; GET /, for browsers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tenuto.engine.base import Engine
from tenuto.server.responses import JsonResponse

_GREETING = """\
Tenuto is running.

POST /v1/complete completes prompts, GET /v1/models lists models, GET /ready reports whether the
model is loaded, and GET /openapi.json describes the API.
"""


async def greeting(request: Request) -> Response:
    """Return the page for browsers. Requires no key."""
    return PlainTextResponse(_GREETING)


class HealthEndpoints:
    """Liveness of the process and readiness of the engine."""

    def __init__(self, engine: Engine, *, extensions: bool) -> None:
        self._engine = engine
        self._extensions = extensions

    async def health(self, request: Request) -> Response:
        """Return 200."""
        return JsonResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Return 200 if the model is loaded, else 503, with the engine's counters."""
        health, capabilities = self._engine.health(), self._engine.capabilities
        body = {
            "ready": health.ready,
            "model": capabilities.model,
            "detail": health.detail,
            "context": capabilities.context,
            "longest_prompt": capabilities.longest_prompt,
            "running": health.running,
            "waiting": health.waiting,
            "kv_blocks": capabilities.kv_blocks,
            "kv_blocks_reserved": health.kv_blocks_reserved,
            "restarts": health.restarts,
            "models": capabilities.models,
            "upstreams": {name: str(state) for name, state in health.upstreams.items()},
            # The server refuses extensions that its settings do not allow.
            "extensions": capabilities.extensions if self._extensions else (),
        }
        return JsonResponse(body, 200 if health.ready else 503)
