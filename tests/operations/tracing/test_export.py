"""Spans to a receiver: batches, failures and the end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from tenuto.operations.tracing.export import SpanQueue, exporter_to
from tests.operations.tracing.receiver import Receiver, receiver


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def queue_to(url: str, patch: pytest.MonkeyPatch, **variables: str) -> tuple[SpanQueue, Tracer]:
    """A queue of spans for a receiver, and a tracer that fills it."""
    patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    for name, value in variables.items():
        patch.setenv(name, value)
    queue = SpanQueue(exporter_to(url))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(queue)
    return queue, provider.get_tracer("test")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_queued_spans_are_sent_at_the_end(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    headers = "authorization=Bearer%20planted-secret"
    queue, tracer = queue_to(collector.url, monkeypatch, OTEL_EXPORTER_OTLP_HEADERS=headers)
    for number in range(1000):
        tracer.start_span(f"span {number}").end()
    queue.stop(10)
    assert {span.name for span in collector.spans} == {f"span {number}" for number in range(1000)}
    assert set(collector.paths) == {"/v1/traces"}
    assert collector.headers[0]["content-type"] == "application/x-protobuf"
    assert collector.headers[0]["authorization"] == "Bearer planted-secret"
    assert not caplog.records


def test_unreachable_receiver_is_one_line_in_the_log(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    collector.status = 401
    queue, tracer = queue_to(
        collector.url,
        monkeypatch,
        OTEL_EXPORTER_OTLP_HEADERS="api-key=planted-secret",
        OTEL_BSP_SCHEDULE_DELAY="5",
    )
    for number in range(3):
        tracer.start_span("refused").end()
        _until(lambda number=number: len(collector.paths) > number)
    host = collector.url.removeprefix("http://")
    _until(lambda: bool(warnings(caplog)))
    (line,) = warnings(caplog)
    assert line.startswith(f"spans cannot be sent to {host}; the oldest are dropped until that")
    assert "401" in line
    collector.status = 200
    tracer.start_span("accepted").end()
    _until(lambda: bool(collector.spans))
    queue.stop(10)
    assert warnings(caplog)[1:] == ["spans that could not be sent and are lost: 3"]
    assert f"spans are sent to {host} again" in [each.getMessage() for each in caplog.records]
    assert "planted-secret" not in caplog.text


def test_end_does_not_wait_for_a_receiver_that_hangs(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.hold = threading.Event()
    queue, tracer = queue_to(collector.url, monkeypatch)
    tracer.start_span("held").end()
    started = time.monotonic()
    queue.stop(0.2)
    assert time.monotonic() - started < 5
    assert warnings(caplog) == ["spans that could not be sent and are lost: 1"]
    collector.hold.set()


def test_full_queue_drops_spans_without_a_wait(
    collector: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    collector.hold = threading.Event()
    queue, tracer = queue_to(
        collector.url,
        monkeypatch,
        OTEL_BSP_MAX_QUEUE_SIZE="10",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10",
    )
    for _ in range(10):
        tracer.start_span("first").end()
    _until(lambda: bool(collector.paths))
    for _ in range(25):
        tracer.start_span("then").end()
    collector.hold.set()
    queue.stop(10)
    assert [span.name for span in collector.spans] == ["first"] * 10 + ["then"] * 10
    assert warnings(caplog)[-1] == "spans that could not be sent and are lost: 15"


def _until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
