"""Send the events of a completion as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.types import Send

from tenuto.core.events import Ended, Event, Text
from tenuto.operations.records import RequestRecord
from tenuto.server.errors import refusal_for
from tenuto.server.responses import start_response
from tenuto.server.shutdown import Shutdown
from tenuto.wire.dialect import Encoder

# The last two keep nginx and other proxies from buffering the stream.
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
# Delay of the first ping if no text is sent before. Not at once, because some clients require text
# as the first event. Later pings follow the interval.
_FIRST_PING_S = 1.0


async def send_events(
    events: AsyncIterator[Event],
    encoder: Encoder,
    send: Send,
    *,
    headers: Mapping[str, str],
    record: RequestRecord,
    ping_interval_s: float,
    shutdown: Shutdown,
) -> None:
    """Send the headers and all events. An error is sent as a last `error` event.

    The caller closes `events`. `headers` are those besides the headers of every stream, `record`
    gets the outcome of an error, and `shutdown` ends the stream with one.
    """
    await start_response({**_HEADERS, **headers}, send)
    sender = _Sender(send)
    if start := encoder.start():
        await sender.send(start)
    pinger = asyncio.create_task(sender.keep_alive(encoder.ping(), ping_interval_s))
    try:
        with shutdown.interruptible():
            async for event in events:
                if isinstance(event, Text):
                    await sender.send(encoder.text(event))
                elif isinstance(event, Ended):
                    await sender.send(encoder.end(event))
    except Exception as error:
        refusal = refusal_for(error, record.id)
        record.outcome = refusal.kind
        await sender.send(encoder.error(refusal, record.id))
    finally:
        pinger.cancel()
        # A plain await would mistake a cancellation of this task for the pinger's.
        await asyncio.wait([pinger])
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Sender:
    """Serializes the writes of two tasks: events, and pings when the stream is idle."""

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
