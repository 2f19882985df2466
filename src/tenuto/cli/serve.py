"""`tenuto serve`: the HTTP server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tenuto.cli.failure import Failure
from tenuto.cli.ranges import between
from tenuto.settings import EngineSettings, LocalSettings, ServerSettings, Settings

_DEFAULTS = ServerSettings()


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = _DEFAULTS.host,
    port: Annotated[
        int,
        typer.Option(callback=between(0, 65535), help="Port to listen on; 0 takes any free one."),
    ] = _DEFAULTS.port,
    model: Annotated[
        Path | None,
        typer.Option(metavar="PATH.gguf", help="Model file to serve.  [default: the built-in one]"),
    ] = None,
    grace: Annotated[
        int,
        typer.Option(
            callback=between(0, 3600),
            metavar="SECONDS",
            help="How long running answers may go on after a signal to stop.",
        ),
    ] = int(_DEFAULTS.shutdown_grace_s),
) -> None:
    """Serve POST /v1/complete until Ctrl-C or SIGTERM.

    The server answers at once, and is ready (GET /ready) when the model is loaded.
    """
    import asyncio
    import logging

    from tenuto.engine.base import ModelError
    from tenuto.engine.registry import create
    from tenuto.server.serve import PortInUse, listen, new_event_loop
    from tenuto.server.serve import serve as run_server

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = Settings(
        server=replace(_DEFAULTS, host=host, port=port, shutdown_grace_s=grace),
        engine=EngineSettings(local=LocalSettings(model=model)),
    )
    try:
        engine = create(settings.engine)
        listener = listen(settings.server)
        address = f"http://{host}:{listener.getsockname()[1]}"
        typer.echo(f"Listening on {address}, loading the model.", err=True)

        def on_ready(name: str) -> None:
            typer.echo(f"Ready: {address}/v1/complete answers with {name}.", err=True)

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run_server(settings, engine, listener, on_ready))
    except (ModelError, PortInUse) as error:
        raise Failure(str(error), 2) from None
