"""Tracing whose spans stay in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tenuto.operations.tracing.tracer import RequestTracer
from tenuto.server.tracing import RequestTracing
from tenuto.wire.errors import type_of


@dataclass
class Memory:
    """Tracing, and the spans that have ended."""

    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        processor = SimpleSpanProcessor(self._exporter)
        tracer = RequestTracer(processor, "1.2.3", type_of, self.environment)
        self.tracing: RequestTracing = RequestTracing(tracer)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All spans, in the order of their beginnings."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def one(self, kind: SpanKind) -> ReadableSpan:
        (span,) = self.of(kind)
        return span

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        return [span for span in self.spans if span.kind is kind]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    number: int = span.context.span_id
    return number


def trace_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"
