"""A server that calls the upstream of copies for each request, and does nothing else for them.

    python -m benchmarks.gateway.calling serve --config FILE

What copies cost besides their own upstream calls is the difference to it: the calls are made in
the same process, at the same time and beside the same requests as those of copies. A call is all of
a completion below the doors: the task, the request, the response and its stop sequences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tenuto.__main__ import run as serve
from tenuto.core.job import Accepted, Request
from tenuto.engine.base import Engine
from tenuto.server.shadow.copies import Copies
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run

_tasks: set[asyncio.Task[None]] = set()


async def _call(engine: Engine, request: Request) -> None:
    async for _ in run(request.job, engine, request.stops):
        pass


def _beside(
    self: Copies, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
) -> None:
    task = asyncio.create_task(_call(self._targets.compared, requests[0]))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


if __name__ == "__main__":
    Copies.beside = _beside  # type: ignore[method-assign]
    serve()
