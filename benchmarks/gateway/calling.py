"""A server whose copies are switched by signals, to measure them within one process.

    python -m benchmarks.gateway.calling serve --config FILE

Signals: `OFF` for requests without copies, `CALLS` for one more call of the upstream for each at
once, and nothing else, `GROUPS` for the same calls in groups as copies begin, `COPIES` for the
copies of Tenuto. Two processes of one program differ by more time than copies need, because their
memory is laid out otherwise. A call is all of a completion below the doors: the task, the request,
the response and its stop sequences.
"""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Sequence
from types import FrameType
from typing import Final

from tenuto.__main__ import run as serve
from tenuto.core.job import Accepted, Request
from tenuto.engine.base import Engine
from tenuto.server.shadow.copies import GROUP, GROUP_S, Copies
from tenuto.stream.meter import Meter
from tenuto.stream.pipe import run

OFF: Final = signal.SIGRTMIN
CALLS: Final = signal.SIGRTMIN + 1
GROUPS: Final = signal.SIGRTMIN + 2
COPIES: Final = signal.SIGRTMIN + 3

_copied = Copies.beside
_tasks: set[asyncio.Task[None]] = set()
_waiting: deque[tuple[Engine, Request]] = deque()


async def _call(engine: Engine, request: Request) -> None:
    async for _ in run(request.job, engine, request.stops):
        pass


def _begin(engine: Engine, request: Request) -> None:
    task = asyncio.create_task(_call(engine, request))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _calls(
    self: Copies, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
) -> None:
    _begin(self._targets.compared, requests[0])


def _begin_group() -> None:
    for _ in range(min(GROUP, len(_waiting))):
        _begin(*_waiting.popleft())
    if _waiting:
        asyncio.get_running_loop().call_soon(_begin_group)


def _groups(
    self: Copies, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
) -> None:
    if not _waiting:
        asyncio.get_running_loop().call_later(GROUP_S, _begin_group)
    _waiting.append((self._targets.compared, requests[0]))


def _off(
    self: Copies, request_id: str, requests: Sequence[Request], accepted: Accepted, meter: Meter
) -> None:
    pass


_MODES: Final = {OFF: _off, CALLS: _calls, GROUPS: _groups, COPIES: _copied}


def _switch(number: int, _: FrameType | None) -> None:
    Copies.beside = _MODES[number]  # type: ignore[method-assign]


if __name__ == "__main__":
    for each in _MODES:
        signal.signal(each, _switch)
    serve()
