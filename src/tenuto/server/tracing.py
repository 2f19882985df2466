"""Trace requests: begin a span for each, and end it with the facts of its record."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from tenuto.core.extras import MissingExtraError, needs
from tenuto.core.refusal import Kind
from tenuto.operations.records import RequestRecord
from tenuto.operations.tracing.choice import endpoint_of
from tenuto.server.settlement import outcome_name
from tenuto.version import __version__
from tenuto.wire.errors import status_of, type_of

if TYPE_CHECKING:
    from tenuto.operations.tracing.export import SpanQueue
    from tenuto.operations.tracing.tracer import RequestTracer

# Requested every few seconds, by probes and scrapers.
_UNTRACED: Final = frozenset({"/health", "/ready", "/metrics"})
# Time to send the last spans.
_LAST_SPANS_S: Final = 5.0

_log: Final = logging.getLogger("tenuto.trace")


class RequestTracing:
    """An observer that traces requests, and a block that sends the last spans at its end.

    Args:
        tracer: Begins spans.
        queue: The spans that are to be sent; None if they are not sent.
    """

    def __init__(self, tracer: RequestTracer, queue: SpanQueue | None = None) -> None:
        self._tracer = tracer
        self._queue = queue

    def begin(self, scope: Mapping[str, Any], record: RequestRecord) -> None:
        """Begin the span of a request. `scope` may be incomplete."""
        if record.path not in _UNTRACED:
            headers = scope.get("headers", ())
            record.trace = self._tracer.begin(record, scope.get("scheme", "http"), headers)

    def ended(self, record: RequestRecord) -> None:
        """End the span of a request."""
        trace, outcome = record.trace, record.outcome
        if trace is None:
            return
        assert outcome is not None
        error, failed = None, False
        if isinstance(outcome, Kind):
            error, failed = type_of(outcome), status_of(outcome) >= 500
        trace.finish(record, outcome_name(outcome), error=error, failed=failed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._queue is not None:
            await asyncio.to_thread(self._queue.stop, _LAST_SPANS_S)


def tracing_of(environment: Mapping[str, str] = os.environ) -> RequestTracing | None:
    """Return the tracing of OpenTelemetry's variables; None without an endpoint.

    A missing extra is logged, and requests are not traced.
    """
    endpoint = endpoint_of(environment)
    if endpoint is None:
        return None
    try:
        # Imported late because the libraries take longer than the rest of the start.
        with needs("otel", "tracing, which an endpoint of OTLP turns on,"):
            from tenuto.operations.tracing.export import SpanQueue, exporter_to
            from tenuto.operations.tracing.tracer import RequestTracer
    except MissingExtraError as error:
        _log.warning("requests are not traced: %s", error)
        return None
    queue = SpanQueue(exporter_to(endpoint))
    return RequestTracing(RequestTracer(queue, __version__, type_of, environment), queue)
