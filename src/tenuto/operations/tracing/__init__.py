"""Traces of requests for OpenTelemetry. `tracer`, `spans` and `export` import its libraries."""
