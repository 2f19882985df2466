"""The one route that is asked all the time goes past the router and its layers of handlers.

They would cost a third of what the rest of the server does for a request that is passed on.
"""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenuto.core.refusal import Refusal, failed
from tenuto.server.errors import error_response
from tenuto.server.health import greeting

# For browsers. It is not part of the API: other methods get what any unknown path gets.
_READING = ("GET", "HEAD")

_log = logging.getLogger("tenuto.server")


class MainRoute:
    """Sends `POST /v1/complete` to one application, and all else to another; greets browsers.

    Args:
        complete: Answers, or raises a `Refusal` before it has begun to.
        others: The router, which also says so where the method is another.
    """

    def __init__(self, complete: ASGIApp, others: ASGIApp) -> None:
        self._complete = complete
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on. Errors become answers, bugs too as long as there is none yet."""
        if scope["type"] != "http" or scope["path"] != "/v1/complete" or scope["method"] != "POST":
            if scope["type"] == "http" and scope["path"] == "/" and scope["method"] in _READING:
                await greeting()(scope, receive, send)
            else:
                await self._others(scope, receive, send)
            return
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._complete(scope, receive, send_and_note)
        except Refusal as error:
            await error_response(error, scope["request_id"])(scope, receive, send)
        except Exception as error:
            _log.error("unexpected error in request %s", scope["request_id"], exc_info=error)
            if begun:
                raise
            bug = failed("Internal server error")
            await error_response(bug, scope["request_id"])(scope, receive, send)
