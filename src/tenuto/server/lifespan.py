"""Start and close the engine in the lifespan of the application."""

from __future__ import annotations

import traceback

from starlette.types import Receive, Send

from tenuto.engine.base import Engine


async def run_lifespan(engine: Engine, receive: Receive, send: Send) -> None:
    """Start an engine, wait for the shutdown, and close the engine: ASGI's lifespan."""
    await receive()
    phase = "startup"
    try:
        await engine.start()
        try:
            await send({"type": "lifespan.startup.complete"})
            phase = "shutdown"
            await receive()
        finally:
            await engine.aclose()
    except BaseException:
        await send({"type": f"lifespan.{phase}.failed", "message": traceback.format_exc()})
        raise
    await send({"type": "lifespan.shutdown.complete"})
