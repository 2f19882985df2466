"""Begin and complete the records of requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from tenuto.operations.records import Delivery, Observer, RequestRecord
from tenuto.server.client_address import TrustedProxies
from tenuto.wire.errors import kind_of_status

_log = logging.getLogger("tenuto.server")


class Recorder:
    """One record for each request, passed to all observers when the request has ended.

    Args:
        proxies: Proxies that are trusted to report a client's address.
        observers: Receive each complete record.
    """

    def __init__(self, proxies: TrustedProxies, observers: Sequence[Observer]) -> None:
        self._proxies = proxies
        self._observers = observers

    def begin(self, scope: Any, request_id: str) -> RequestRecord:
        """Return the record of a request that begins.

        Args:
            scope: ASGI scope, as far as it is known.
            request_id: The request's id.
        """
        return RequestRecord(
            request_id,
            self._proxies.client_of(scope),
            scope.get("method", "-"),
            scope.get("path", "-"),
            time.time(),
            time.perf_counter(),
        )

    def end(self, record: RequestRecord) -> None:
        """Complete a record and pass it to the observers."""
        record.seconds = time.perf_counter() - record.clock
        if record.outcome is None:
            status = record.status or 500
            record.outcome = kind_of_status(status) if status >= 400 else Delivery.COMPLETE
        for observer in self._observers:
            try:
                observer.ended(record)
            except Exception as error:
                # The request has its response already, and the other observers need the record.
                _log.error("an observer failed on request %s", record.id, exc_info=error)
