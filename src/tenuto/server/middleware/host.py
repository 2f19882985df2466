"""Refuses web pages that reach a local server under a name of their own (DNS rebinding)."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from tenuto.core.refusal import Kind, Refusal
from tenuto.server.errors import error_response
from tenuto.server.loopback import is_loopback
from tenuto.server.request_headers import header
from tenuto.wire.errors import excerpt

# What clients write; any other loopback address is looked at.
_USUAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostMiddleware:
    """Passes only requests whose `host` header names this machine, or an allowed name.

    A loopback address in the header is one of this machine; DNS can only rebind names.

    Args:
        app: What to pass them to.
        allowed: Further names, without a port.
    """

    def __init__(self, app: ASGIApp, allowed: Iterable[str]) -> None:
        self._app = app
        self._allowed = _USUAL | {name.lower() for name in allowed}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on, or answers 403."""
        if scope["type"] == "http":
            host = header(scope, b"host") or "localhost"
            name = _without_port(host)
            if name not in self._allowed and not is_loopback(name):
                error = Refusal(
                    Kind.FORBIDDEN,
                    f"host: {excerpt(host)!r} is not a name of this server. Add it to "
                    "`allowed_hosts` of [server] in the settings if it should be.",
                )
                await error_response(error, scope["record"].id)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()
