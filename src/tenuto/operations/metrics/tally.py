"""Count requests when they end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tenuto.operations.metrics import families
from tenuto.operations.metrics.figures import Figures, Histogram
from tenuto.operations.metrics.labels import RequestLabels
from tenuto.operations.records import RequestRecord

_MOST_PENDING: Final = 64


class RequestTally:
    """The counters and histograms of requests. Belongs to one event loop.

    Plain numbers, because those of a metrics library need a lock for each change, which costs
    several microseconds a request.
    """

    def __init__(self, labels: RequestLabels) -> None:
        self._labels = labels
        self._ended: list[tuple[RequestRecord, str]] = []
        self._requests: dict[tuple[str, ...], int] = {}
        self._input_tokens = self._cached_tokens = self._output_tokens = 0
        self._first_token = Histogram(families.FIRST_TOKEN.bounds)
        self._token_gaps = Histogram(families.TOKEN_GAPS.bounds)
        self._duration = Histogram(families.DURATION.bounds)

    def add_names(self, models: Iterable[str], upstreams: Iterable[str]) -> None:
        """Add names that are labels of requests from now on. See `RequestLabels.add_names`."""
        self._count_all()
        self._labels.add_names(models, upstreams)

    def count(self, record: RequestRecord, outcome: str) -> None:
        """Count a complete record.

        Args:
            record: The record, which does not change any more.
            outcome: The value of the label.
        """
        # Many in one go: between other work, each would find cold caches and take several times
        # as long.
        self._ended.append((record, outcome))
        if len(self._ended) >= _MOST_PENDING:
            self._count_all()

    def _count_all(self) -> None:
        ended, self._ended = self._ended, []
        for record, outcome in ended:
            self._count(record, outcome)

    def _count(self, record: RequestRecord, outcome: str) -> None:
        labels = self._labels.of(record, outcome)
        self._requests[labels] = self._requests.get(labels, 0) + 1
        usage = record.usage
        if usage is not None:
            self._input_tokens += usage.input_tokens or 0
            self._cached_tokens += usage.cached_tokens or 0
            self._output_tokens += usage.output_tokens or 0
        if record.first_token_seconds is not None:
            self._first_token.add(record.first_token_seconds)
        if (gaps := record.token_gaps) is not None:
            self._token_gaps.add_all(gaps.counts, gaps.total_s)
        if record.served_model is not None:
            self._duration.add(record.seconds)

    def write(self, figures: Figures) -> None:
        """Write the counts so far into the figures of a scrape."""
        self._count_all()
        figures.samples[families.REQUESTS.name] = self._requests.copy()
        figures.set(families.INPUT_TOKENS, self._input_tokens)
        figures.set(families.CACHED_TOKENS, self._cached_tokens)
        figures.set(families.OUTPUT_TOKENS, self._output_tokens)
        for family, histogram in (
            (families.FIRST_TOKEN, self._first_token),
            (families.TOKEN_GAPS, self._token_gaps),
            (families.DURATION, self._duration),
        ):
            figures.distributions[family.name] = histogram.distribution()
