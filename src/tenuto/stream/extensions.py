"""What extensions add to the events of a completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from tenuto.stream.meter import Meter
from tenuto.wire.events import CompletionEvent, Event
from tenuto.wire.extensions import ExtendedRequest


async def extended(
    events: AsyncGenerator[Event, None], asked: ExtendedRequest, meter: Meter
) -> AsyncGenerator[Event, None]:
    """Passes events on, and closes them with itself.

    Args:
        events: From `run`.
        asked: With `echo`, the prompt comes first, as it was sent. No stop sequence ends it.
        meter: That of the events. The last event gets what it has counted.
    """
    echo = asked.prompt if asked.echo else ""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CompletionEvent) and event.stop_reason is not None:
                yield replace(event, usage=meter.usage())
                continue
            yield event
            if echo:
                # Behind the first event, which says that the job is accepted.
                yield CompletionEvent(echo)
                echo = ""
