"""Sends a completion's events as they come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from starlette.types import Send

from tenuto.core.events import Ended, Event, Text
from tenuto.core.refusal import Kind, Refusal, failed
from tenuto.operations.records import RequestRecord
from tenuto.server.shutdown import Shutdown
from tenuto.wire.completions.sse import Encoder

_log = logging.getLogger("tenuto.server")

# The last two keep nginx and other proxies from gathering the stream before they pass it on.
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
# Silence before the first text that is covered by a ping. Not at once: for some clients the first
# event must be text. Later ones follow at the interval.
_FIRST_PING_S = 1.0


async def send_events(
    events: AsyncIterator[Event],
    encoder: Encoder,
    send: Send,
    *,
    record: RequestRecord,
    ping_interval_s: float,
    shutdown: Shutdown,
) -> None:
    """Send a whole stream, headers first. An error becomes an `error` event, the last one.

    Args:
        events: The events after the acceptance of the request. The caller closes them.
        encoder: Writes them in the dialect of the request's version.
        send: The request's ASGI channel.
        record: The request's, whose id goes into error events.
        ping_interval_s: Seconds of silence after which a ping is sent.
        shutdown: Ends the stream with an error event.
    """
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    sender = _Sender(send)
    pinger = asyncio.create_task(sender.keep_alive(encoder.ping(), ping_interval_s))
    try:
        with shutdown.interruptible():
            async for event in events:
                if isinstance(event, Text):
                    await sender.send(encoder.text(event))
                elif isinstance(event, Ended):
                    await sender.send(encoder.end(event))
    except Refusal as error:
        record.outcome = error.kind
        await sender.send(encoder.error(error, record.id))
    except Exception as error:
        _log.error("unexpected error in request %s", record.id, exc_info=error)
        record.outcome = Kind.FAILED
        await sender.send(encoder.error(failed("Internal server error"), record.id))
    finally:
        pinger.cancel()
        # Awaiting it would take a cancellation of this task for the pinger's own.
        await asyncio.wait([pinger])
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Sender:
    """Two tasks write into one stream: the events, and the pings where it is quiet."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = asyncio.Lock()
        self._clock = asyncio.get_running_loop().time
        self._last = self._clock()
        self._begun = False

    async def send(self, data: bytes) -> None:
        async with self._lock:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._last = self._clock()
            self._begun = True

    async def keep_alive(self, ping: bytes, interval_s: float) -> None:
        while True:
            silence = interval_s if self._begun else min(_FIRST_PING_S, interval_s)
            wait = self._last + silence - self._clock()
            if wait > 0:
                await asyncio.sleep(wait)
            else:
                await self.send(ping)
