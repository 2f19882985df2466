"""Read from OpenTelemetry's environment variables whether to trace. Imports none of its libraries.

The exporter itself reads the other variables, such as those of headers and certificates.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_PROTOCOL: Final = "http/protobuf"

_log: Final = logging.getLogger("tenuto.trace")


def endpoint_of(environment: Mapping[str, str]) -> str | None:
    """Return the address of the receiver of traces; None if requests are not traced.

    A variable with a value that Tenuto does not support is logged, and turns tracing off.
    An empty variable counts as not set, as OpenTelemetry specifies.
    """
    endpoint = _first(environment, ENDPOINTS)
    if endpoint is None or environment.get(_DISABLED, "").strip().lower() == "true":
        return None
    exporters = (environment.get(_EXPORTER) or "otlp").split(",")
    if "otlp" not in map(str.strip, exporters):
        return None
    protocol = _first(environment, _PROTOCOLS) or _PROTOCOL
    if protocol != _PROTOCOL:
        _log.warning(
            "requests are not traced: %s must be %s, with the port of OTLP over HTTP, 4318 by "
            "default, in the endpoint",
            *(next(name for name in _PROTOCOLS if environment.get(name, "").strip()), _PROTOCOL),
        )
        return None
    if not endpoint.lower().startswith(("http://", "https://")):
        _log.warning("requests are not traced: the endpoint of OTLP must begin with http://")
        return None
    return endpoint


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    found = (environment.get(name, "").strip() for name in names)
    return next(filter(None, found), None)
