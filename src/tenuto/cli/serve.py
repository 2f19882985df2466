"""`tenuto serve`: the HTTP server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tenuto.cli import cassettes, options
from tenuto.cli.failure import Failure
from tenuto.cli.terminal import dim, is_terminal
from tenuto.core.addresses import is_loopback
from tenuto.core.extras import needs
from tenuto.settings import (
    Settings,
    SettingsError,
    bare_host,
    load_with_origins,
    store_location,
)
from tenuto.settings.faults import load_faults


def serve(
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None,
        options.number(
            "Port to listen on; 0 takes any free one.  [default: 8000]", 0, 65535, "PORT"
        ),
    ] = None,
    model: options.Model = None,
    grace: Annotated[
        float | None,
        options.number(
            "Time for running answers to end after a signal to stop.  [default: 10]",
            *(0, 3600, "SECONDS"),
        ),
    ] = None,
    workers: Annotated[
        int | None,
        options.number(
            "Processes that run requests. With more than one, a further process counts for all of "
            "them.  [default: 1]",
            *(1, 64, "N"),
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        options.choice(
            "Lowest level of the log: debug, info, warning or error.  [default: info]",
            *("debug", "info", "warning", "error"),
            metavar="LEVEL",
        ),
    ] = None,
    config: options.Config = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow a public address without API keys.")
    ] = False,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the playground in the browser.")
    ] = False,
    record: cassettes.Record = None,
    replay: cassettes.Replay = None,
    replay_speed: cassettes.ReplaySpeed = None,
    on_miss: cassettes.OnMiss = None,
    scrub: cassettes.Scrub = None,
    faults: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Inject the failures of this file, to test clients."),
    ] = None,
) -> None:
    """Serve POST /v1/complete until Ctrl-C or SIGTERM.

    The server answers at once, and is ready (GET /ready) when the model is loaded. Options override
    the environment (TENUTO_SERVER_PORT, ...), which overrides the settings file; `tenuto config`
    prints the result. SIGHUP reads the file again.
    """
    from tenuto.cli.browser import check_playground, open_in_background, playground_url
    from tenuto.cli.pull import fetch
    from tenuto.server.activation import InvalidSocket, inherited_socket
    from tenuto.service import has_embedded_engine, open_engine

    try:
        inherited = inherited_socket()
    except InvalidSocket as error:
        raise Failure(str(error), 2) from None
    if inherited is not None:
        # The socket has the address, also for the decision whether keys are required.
        host, port = inherited.getsockname()[:2]
    loaded = load_with_origins(config)
    given = {"host": host, "port": port, "shutdown_grace_s": grace, "workers": workers}
    tape = cassettes.Cassettes(record, replay, replay_speed, on_miss, scrub)
    configured = _with_options(options.with_model(loaded.settings, model), given, log_level)
    tape.check(configured)
    settings = tape.settings(configured)
    if open_page:
        check_playground(settings)
    several = settings.server.workers > 1
    if several and has_embedded_engine(settings.engine):
        raise Failure(
            "--workers: the embedded engine runs in one process; use 1 worker, or serve the model "
            'with another `tenuto serve`, and route to it with an upstream of `kind = "tenuto"`',
            2,
        )
    rules = None if faults is None else load_faults(faults)
    if several and rules is not None:
        raise Failure(
            "--faults: the rules count in one process; use --workers 1, not "
            f"{settings.server.workers}",
            2,
        )
    # Each gateway opens its own.
    engine = None
    if not several:
        engine = tape.engine(configured, lambda: open_engine(settings, fetch, at_once=True))
    # Imported late because the worker starts meanwhile.
    import asyncio

    with needs("server", "the server"):
        from tenuto.server.accounts import bookkeeping_of
        from tenuto.server.faults import Faults
        from tenuto.server.listening import CannotListen, in_brackets, listen
        from tenuto.server.log import logging_to_stderr
        from tenuto.server.reload import SettingsSource
        from tenuto.server.serve import new_event_loop
        from tenuto.server.serve import serve as run_server
        from tenuto.server.tracing import tracing_of

    injected = None if rules is None else Faults(rules)
    bookkeeping, at_once = bookkeeping_of(settings)

    def reloaded() -> Settings:
        """Read the settings again, with the same options."""
        again = load_with_origins(config)
        if again.file != loaded.file:
            raise SettingsError(f"{again.file or loaded.file}: has appeared or is gone")
        again_configured = options.with_model(again.settings, model)
        return tape.settings(_with_options(again_configured, given, log_level))

    try:
        has_keys = not insecure and _has_keys(settings, at_once=at_once)
        listener = listen(settings.server, insecure=insecure or has_keys, inherited=inherited)
        address = f"http://{in_brackets(settings.server.host)}:{listener.getsockname()[1]}"
        with logging_to_stderr(settings.log, shared=several) as log:
            if loaded.file is not None:
                log.announce(f"Settings are read from {loaded.file.absolute()}.")
            for name in loaded.ignored:
                logging.getLogger("tenuto.settings").warning(
                    "%s is ignored: Kubernetes or Docker sets variables of this form", name
                )
            if faults is not None:
                log.announce(f"Completions fail on purpose, by the rules of {faults.absolute()}.")
            for note in tape.notes():
                log.announce(note)
            log.announce(f"Listening on {address}, loading the model.")

            def on_ready(name: str) -> None:
                log.announce(f"Ready: {address}/v1/complete answers with {name}.")
                if open_page:
                    open_in_background(playground_url(address), log.announce)
                if is_terminal() and settings.log.format == "text":
                    key = "TENUTO_API_KEY=… " if settings.server.api_keys else ""
                    ask = f'tenuto complete --base-url {address} "Hello, world!"'
                    log.announce(dim(f"Next, in another terminal: {key}{ask}"))

            source = SettingsSource(reloaded, lambda new: log.change(new.log))
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                if engine is None:
                    from tenuto.server.workers.serve import serve_with_workers

                    work = serve_with_workers(
                        *(settings, listener, on_ready, bookkeeping),
                        at_once=at_once,
                        source=source,
                        listener_stays=inherited is not None,
                    )
                else:
                    work = run_server(
                        *(settings, engine, listener, on_ready),
                        bookkeeping=bookkeeping,
                        at_once=at_once,
                        source=source,
                        tracing=tracing_of(),
                        listener_stays=inherited is not None,
                        faults=injected,
                    )
                runner.run(work)
            if injected is not None:
                log.announce(f"{injected.injected} faults were injected.")
            for note in tape.end():
                log.announce(note)
            log.announce("Stopped.")
    except CannotListen as error:
        raise Failure(str(error), 2) from None


def _has_keys(settings: Settings, *, at_once: bool) -> bool:
    """Return whether the store or `[bedrock]` has a key, if that matters: on a public address."""
    if settings.server.api_keys or is_loopback(settings.server.host):
        return False
    if settings.bedrock.secret_access_key is not None:
        return True
    if not at_once:
        return False
    from tenuto.operations.store.key_table import KeyTable
    from tenuto.operations.store.migrations import open_store

    with closing(open_store(store_location(settings.store), create=False)) as database:
        return bool(KeyTable(database).entries())


def _with_options(settings: Settings, server: Mapping[str, Any], log_level: str | None) -> Settings:
    """Return the settings with the given options for `[server]` and the log."""
    try:
        bare = None if server["host"] is None else bare_host(server["host"])
    except SettingsError as error:
        raise Failure(f"--host: {error}", 2) from None
    return replace(
        settings,
        server=_with_values(settings.server, {**server, "host": bare}),
        log=_with_values(settings.log, {"level": log_level}),
    )


def _with_values(section: Any, options: Mapping[str, object]) -> Any:
    """Return a section of the settings with the options that are given."""
    return replace(section, **{name: one for name, one in options.items() if one is not None})
