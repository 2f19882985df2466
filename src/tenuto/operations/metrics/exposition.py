"""Write figures in the formats that Prometheus reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from tenuto.operations.metrics.families import FAMILIES, Family, FamilyKind
from tenuto.operations.metrics.figures import Figures

# Memory, processor time and descriptors of this process.
_PROCESS = ProcessCollector(registry=None)


def exposition(figures: Figures, accept: str) -> tuple[bytes, str]:
    """Return the figures, and those of the process, as a response.

    Args:
        figures: The figures.
        accept: The `accept` header of the request; "" for the text format.

    Returns:
        The body, and its content type.
    """
    encode, content_type = choose_encoder(accept)
    return encode(_Scrape(figures)), content_type


class _Scrape(Collector):
    """The figures as a source of the library."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for family in FAMILIES:
            yield _metric(family, self._figures)
        # Without these where the limit of descriptors is not a number.
        with contextlib.suppress(ValueError):
            yield from _PROCESS.collect()


def _metric(family: Family, figures: Figures) -> Metric:
    if family.kind is FamilyKind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        distribution = figures.distributions.get(family.name)
        if distribution is not None:
            bounds = [*map(floatToGoString, family.bounds), "+Inf"]
            counts = accumulate(distribution.counts)
            buckets = list(zip(bounds, counts, strict=True))
            histogram.add_metric((), buckets, distribution.total)
        return histogram
    kind = CounterMetricFamily if family.kind is FamilyKind.COUNTER else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, amount in figures.samples.get(family.name, {}).items():
        metric.add_metric(labels, amount)
    return metric
