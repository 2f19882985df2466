"""GET /health and GET /ready, liveness and readiness probes; GET /, for people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tenuto.engine.base import Engine
from tenuto.server.responses import JsonResponse

_GREETING = """\
Tenuto is running.

POST /v1/complete writes completions, GET /v1/models lists models, GET /ready tells whether the
model is loaded, and GET /openapi.json describes the API.
"""


async def greeting(request: Request) -> Response:
    """Return the page for browsers at the server's address. Needs no key."""
    return PlainTextResponse(_GREETING)


class HealthEndpoints:
    """Whether the process lives, and whether the engine behind it can answer.

    Args:
        engine: The engine.
        extensions: Whether requests may use extensions.
    """

    def __init__(self, engine: Engine, *, extensions: bool) -> None:
        self._engine = engine
        self._extensions = extensions

    async def health(self, request: Request) -> Response:
        """200 as long as the server runs at all."""
        return JsonResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200 when the model is loaded, else 503; the body has the engine's counters."""
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
            # The settings may not allow what the engine can do: then it would be refused.
            "extensions": capabilities.extensions if self._extensions else (),
        }
        return JsonResponse(body, 200 if health.ready else 503)
