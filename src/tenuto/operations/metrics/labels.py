"""The values of the labels of requests, of which there must be few.

Callers choose paths, models and keys. Each new value of a label would be a new time series, so
values come from what the operator configured; all others are `other`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tenuto.core.refusal import Kind
from tenuto.operations.records import RequestRecord

OTHER: Final = "other"
"""The value for names that are unknown, or beyond the largest number of keys."""
NONE: Final = ""
"""The value where a request has no model, upstream or key. Prometheus drops empty labels."""


class RequestLabels:
    """Map requests to the values of labels.

    Args:
        most_keys: Most names of keys; those of further keys are `other`.
    """

    def __init__(self, most_keys: int) -> None:
        self._most_keys = most_keys
        self._models: frozenset[str] = frozenset()
        self._upstreams: frozenset[str] = frozenset()
        self._keys: set[str] = set()

    def add_names(self, models: Iterable[str], upstreams: Iterable[str]) -> None:
        """Add names of models and upstreams that may be values. Earlier ones remain."""
        self._models |= frozenset(models)
        self._upstreams |= frozenset(upstreams)

    def of(self, record: RequestRecord, outcome: str) -> tuple[str, str, str, str, str]:
        """Return the label values of a complete record, in the order of the family's labels."""
        upstream = record.upstream or NONE
        if upstream and upstream not in self._upstreams:
            upstream = OTHER
        return (
            record.route or OTHER,
            outcome,
            self._model(record),
            upstream,
            self._key(record),
        )

    def _model(self, record: RequestRecord) -> str:
        """Return the answering model; the requested one if that is unknown."""
        models, served, requested = self._models, record.served_model, record.requested_model
        if served in models:
            return served
        if requested is None:
            return NONE
        return requested if requested in models else OTHER

    def _key(self, record: RequestRecord) -> str:
        name = record.key
        if name in self._keys:
            return name
        if not name:
            return OTHER if record.outcome is Kind.UNAUTHENTICATED else NONE
        if len(self._keys) >= self._most_keys:
            return OTHER
        self._keys.add(name)
        return name
