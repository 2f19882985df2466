"""Sends a completion's events as they come."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from starlette.types import Send

from tenuto.wire.errors import ApiError, InternalError
from tenuto.wire.events import ErrorEvent, Event, Ping
from tenuto.wire.sse import Encoder

_log = logging.getLogger("tenuto.server")

# The last two keep nginx and other proxies from gathering the stream before they pass it on.
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


async def send_events(
    first: Event,
    events: AsyncIterator[Event],
    encoder: Encoder,
    send: Send,
    *,
    request_id: str,
    ping_interval_s: float,
) -> None:
    """Sends a whole stream, headers first. An error becomes an `error` event, the last one.

    Args:
        first: The first event: that there is one shows that the request was accepted. An error
            before it is the caller's, and becomes a status.
        events: The events after it; the caller closes them.
        encoder: Writes them in the dialect of the request's version.
        send: The request's ASGI channel.
        request_id: The request's name, for error events.
        ping_interval_s: Seconds of silence after which a ping is sent.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    sender = _Sender(send)
    await sender.send(encoder.encode(first))
    pinger = asyncio.create_task(sender.keep_alive(encoder.encode(Ping()), ping_interval_s))
    try:
        async for event in events:
            await sender.send(encoder.encode(event))
    except ApiError as error:
        await sender.send(encoder.encode(ErrorEvent(error), request_id))
    except Exception as error:
        _log.error("unexpected error in request %s", request_id, exc_info=error)
        end = ErrorEvent(InternalError("Internal server error"))
        await sender.send(encoder.encode(end, request_id))
    finally:
        pinger.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pinger
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Sender:
    """Two tasks write into one stream: the events, and the pings where it is quiet."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()

    async def send(self, data: bytes) -> None:
        async with self._lock:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._last = self._clock()

    async def keep_alive(self, ping: bytes, interval_s: float) -> None:
        while True:
            wait = self._last + interval_s - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self.send(ping)
