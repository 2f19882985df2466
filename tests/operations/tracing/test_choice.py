"""Variables that turn tracing on and off."""

from __future__ import annotations

import logging

import pytest

from tenuto.operations.tracing.choice import endpoint_of

URL = "http://collector:4318"
ON = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL}


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        (ON, URL),
        (ON | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://other/v1/traces"}, None),
        (ON | {"OTEL_SDK_DISABLED": "True"}, None),
        (ON | {"OTEL_SDK_DISABLED": "false"}, URL),
        (ON | {"OTEL_TRACES_EXPORTER": "none"}, None),
        (ON | {"OTEL_TRACES_EXPORTER": "console, otlp"}, URL),
        (ON | {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, URL),
    ],
)
def test_endpoint_alone_turns_tracing_on(
    environment: dict[str, str], endpoint: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in environment:
        endpoint = environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
    assert endpoint_of(environment) == endpoint
    assert not caplog.records


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "user:secret@collector:4317"}, "http://"),
    ],
)
def test_unsupported_value_is_logged_and_nothing_is_traced(
    added: dict[str, str], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tenuto.trace"):
        assert endpoint_of(ON | added) is None
    (record,) = caplog.records
    assert "requests are not traced" in record.getMessage()
    assert named in record.getMessage()
    assert "secret" not in record.getMessage()
