"""Send spans to a receiver by OTLP over HTTP, in a thread, and log when that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

_log: Final = logging.getLogger("tenuto.trace")

# Loggers of the libraries that report each failed attempt.
_NOISY: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_MOST_CHARS: Final = 300


class SpanQueue(BatchSpanProcessor):
    """Spans that wait for an exporter, in a thread of their own. The oldest are dropped if full.

    Their number and delay are set by `OTEL_BSP_…` variables.

    Args:
        exporter: The exporter.
    """

    def __init__(self, exporter: ReportingExporter) -> None:
        super().__init__(exporter)
        self._exporter = exporter
        self._ended = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, which never blocks."""
        self._ended += span.context is not None and span.context.trace_flags.sampled
        super().on_end(span)

    def stop(self, timeout_s: float) -> None:
        """Send the queued spans, for a time at most. Blocks the thread."""
        # The library's method may wait for half a minute.
        stopping = threading.Thread(target=self.shutdown, name="tenuto-trace", daemon=True)
        stopping.start()
        stopping.join(timeout_s)
        self._exporter.shutdown()
        lost = self._ended - self._exporter.sent
        if lost:
            _log.warning("spans that could not be sent and are lost: %d", lost)


class ReportingExporter(SpanExporter):
    """An exporter that logs one line when it begins to fail, and one when it works again.

    Args:
        exporter: The library's exporter.
        endpoint: The address of the receiver.

    Attributes:
        sent: Spans that the receiver has accepted.
    """

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self.sent: int = 0
        self._exporter = exporter
        parts = urlsplit(endpoint)
        # The rest of the address may hold a password.
        self._receiver = parts.netloc.rpartition("@")[2]
        self._failing = False
        self._closed = threading.Event()
        self._listener = _Listener(self._report)
        for name in _NOISY:
            logger = logging.getLogger(name)
            logger.propagate = False
            logger.addHandler(self._listener)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Called in the thread of the queue."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
            if self._failing:
                self._failing = False
                _log.info("spans are sent to %s again", self._receiver)
        return result

    def shutdown(self) -> None:
        """End running attempts, and send nothing more."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._exporter.shutdown()
        for name in _NOISY:
            logger = logging.getLogger(name)
            logger.propagate = True
            logger.removeHandler(self._listener)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return True: spans wait in the queue only."""
        return True

    def _report(self, message: str) -> None:
        if self._failing:
            _log.debug("%s", message)
            return
        self._failing = True
        _log.warning(
            "spans cannot be sent to %s; the oldest are dropped until that works: %s",
            *(self._receiver, message[:_MOST_CHARS]),
        )


class _Listener(logging.Handler):
    """Passes on the warnings of loggers."""

    def __init__(self, report: object) -> None:
        super().__init__(logging.WARNING)
        assert callable(report)
        self._report = report

    def emit(self, record: logging.LogRecord) -> None:
        self._report(record.getMessage())


def exporter_to(endpoint: str) -> ReportingExporter:
    """Return the exporter of the environment's variables."""
    return ReportingExporter(OTLPSpanExporter(), endpoint)
