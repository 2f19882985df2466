"""`tenuto health`: the health check of a container."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tenuto.cli import options, output
from tenuto.cli.failure import Failure

# The addresses that stand for all addresses, which no client can connect to.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def health(
    url: Annotated[
        str | None,
        typer.Argument(metavar="URL", help="The server's address.  [default: by the settings]"),
    ] = None,
    timeout: Annotated[
        float, options.number("Longest wait for the response.", 0.1, 3600, "SECONDS")
    ] = 5,
    config: options.Config = None,
) -> None:
    """Check that a server is alive: exit with 0 if it answers GET /health, else with 1.

    A server that is loading its model, or that ends its last requests, is alive. GET /ready
    reports whether it should get requests.
    """
    url = _address(config) if url is None else url.rstrip("/")
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise Failure("URL: write it like http://127.0.0.1:8000", 2)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, port, timeout=timeout)
    try:
        connection.request("GET", f"{parts.path}/health")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise Failure(f"{url} does not answer: {reason or error or 'not HTTP'}", 1) from None
    finally:
        connection.close()
    if status != 200:
        raise Failure(f"{url} answers GET /health with status {status}", 1)
    output.line(f"{url} is alive.")


def _address(config: options.Config) -> str:
    """Return the URL of the server that `tenuto serve` with the same settings starts."""
    # Imported late because a check with a URL needs no settings.
    from tenuto.settings import load

    server = load(config).server
    host = _ANY.get(server.host, server.host)
    return f"http://[{host}]:{server.port}" if ":" in host else f"http://{host}:{server.port}"
