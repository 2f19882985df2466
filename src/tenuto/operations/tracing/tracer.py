"""Begin the spans of requests, in the trace of the caller or in a new one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tenuto.core.refusal import Kind
from tenuto.operations.records import RequestRecord
from tenuto.operations.tracing import names
from tenuto.operations.tracing.spans import RequestSpan

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_CONTEXT: Final = {b"traceparent": "traceparent", b"tracestate": "tracestate"}


class RequestTracer:
    """Begins spans. The sampler is that of `OTEL_TRACES_SAMPLER`: by default all are sampled.

    By default a request of a trace is sampled if its caller's span is.

    Args:
        processor: Takes the spans that have ended.
        version: The version of the service.
        error_name: Returns the name of an error.
        environment: The variables that choose the conventions.
    """

    def __init__(
        self,
        processor: SpanProcessor,
        version: str,
        error_name: Callable[[Kind], str],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        own = Resource.create({"service.name": "tenuto", "service.version": version})
        resource = own.merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(processor)
        self._conventions = names.conventions_of(environment)
        self._tracer = provider.get_tracer("tenuto", version, self._conventions.schema_url)
        self._error_name = error_name

    def begin(
        self, record: RequestRecord, scheme: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> RequestSpan:
        """Begin the span of a request.

        Args:
            record: The record of the request.
            scheme: `http` or `https`.
            headers: The headers of the request, with names in lower case.
        """
        # The conventions' names for a method that a caller made up.
        method, name = record.method, record.method
        if method not in _METHODS:
            method, name = "_OTHER", "HTTP"
        span = self._tracer.start_span(
            name,
            _context_of(headers),
            SpanKind.SERVER,
            {
                names.HTTP_METHOD: method,
                names.URL_SCHEME: scheme,
                names.REQUEST_ID: record.id,
            },
            start_time=round(1e9 * record.begun),
        )
        return RequestSpan(self._tracer, span, name, self._conventions, self._error_name)


def _context_of(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the trace context of a request; an empty one if the headers are invalid."""
    carrier: dict[str, list[str]] = {}
    for name, value in headers:
        if name in _CONTEXT:
            carrier.setdefault(_CONTEXT[name], []).append(value.decode("latin-1"))
    if len(carrier.get("traceparent", ())) != 1:
        # Without it, or with several, tracestate has no meaning.
        return Context()
    return _PROPAGATOR.extract(carrier, Context())
