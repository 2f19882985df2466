"""Dispatch requests to handlers, within the error boundary of the application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.operations.records import RequestRecord
from tenuto.server.errors import error_response, not_allowed, not_found, refusal_for

Lifespan: TypeAlias = Callable[[Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        method: The HTTP method. A route for GET also handles HEAD.
        path: The path. A variable `{name}` as the last segment matches the rest of a path, with
            slashes.
        handler: An ASGI application. Before the response starts it may raise a `Refusal`.
        in_api: Whether the path is part of the API. Elsewhere, as on a page for browsers, other
            methods get 404 instead of 405.
    """

    method: str
    path: str
    handler: ASGIApp
    in_api: bool = True

    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD") if self.method == "GET" else (self.method,)


def responding(endpoint: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """Return the handler of an endpoint that returns a response."""

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return handler


class Dispatch:
    """Calls the handler of a route, and sends the error response of its exception.

    A route with an exact path takes precedence over one with a variable.
    """

    def __init__(self, routes: Iterable[Route], lifespan: Lifespan) -> None:
        self._routes = tuple(routes)
        self._lifespan = lifespan
        self._exact = {
            (method, route.path): route
            for route in self._routes
            for method in route.methods()
            if not route.path.endswith("}")
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. Raise an error again if the response has started, to abort it."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        record: RequestRecord = scope["record"]
        begun = False

        def send_and_note(message: Message) -> Awaitable[None]:
            nonlocal begun
            begun = True
            return send(message)

        try:
            route = self._exact.get((scope["method"], scope["path"]))
            if route is not None:
                record.route = route.path
                await route.handler(scope, receive, send_and_note)
            else:
                await self._other(scope, record)(scope, receive, send_and_note)
        except Exception as error:
            refusal = refusal_for(error, record.id)
            record.outcome = record.outcome or refusal.kind
            if begun:
                raise
            await error_response(refusal, record.id)(scope, receive, send)

    def _other(self, scope: Scope, record: RequestRecord) -> ASGIApp:
        """Return the handler of a path with a variable, or an error response."""
        path, method = scope["path"], scope["method"]
        found = [route for route in self._routes if route.in_api and _matches(route, path)]
        for route in found:
            record.route = route.path
            if method in route.methods():
                prefix, _, name = route.path.partition("{")
                scope["path_params"] = {name.removesuffix("}"): path[len(prefix) :]}
                return route.handler
        if not found:
            served = [route.path for route in self._routes if route.method == "POST"]
            return error_response(not_found(path, served), record.id)
        allowed = ", ".join(method for route in found for method in route.methods())
        response = error_response(not_allowed(method, path, allowed), record.id)
        response.headers["allow"] = allowed
        return response


def _matches(route: Route, path: str) -> bool:
    prefix, variable, _ = route.path.partition("{")
    return path.startswith(prefix) if variable else path == prefix
