"""The read timeout of connections to upstreams, at less cost than the library's."""

from __future__ import annotations

import asyncio

from aiohttp.client_proto import ResponseHandler

from tenuto.lazy_timer import LazyTimer


class LazyReadTimeout(ResponseHandler):
    """A connection whose read timeout has a `LazyTimer`.

    The library sets a timer of the event loop for each packet that arrives. Should a later version
    not call these methods, then it does so again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._silence = LazyTimer(loop, self._on_read_timeout)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._silence.close()

    def _reschedule_timeout(self) -> None:
        if self._read_timeout:
            self._silence.start(self._read_timeout)
        else:
            self._silence.stop()

    def _drop_timeout(self) -> None:
        self._silence.stop()
