"""What extensions add to the events of a completion."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from tenuto.stream.meter import Meter
from tenuto.wire.events import CompletionEvent, Event
from tenuto.wire.extensions import ExtendedRequest
from tenuto.wire.long_text import LongText


async def extended(
    events: AsyncGenerator[Event, None], asked: ExtendedRequest, meter: Meter
) -> AsyncGenerator[Event, None]:
    """Passes events on, and closes them with itself.

    Args:
        events: From `run`.
        asked: With `echo`, the prompt comes first, as it was sent. No stop sequence ends it.
        meter: That of the events. The last event gets what it has counted.
    """
    prompt = asked.prompt if asked.echo else ""
    pieces = prompt.pieces() if isinstance(prompt, LongText) else filter(None, [prompt])
    async with aclosing(events):
        async for event in events:
            if isinstance(event, CompletionEvent) and event.stop_reason is not None:
                yield replace(event, usage=meter.usage())
                continue
            yield event
            # Behind the first event, which says that the job is accepted.
            for piece in pieces:
                yield CompletionEvent(piece)
