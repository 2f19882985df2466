"""The aims: how many times faster than llama.cpp's server core Tenuto should be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from benchmarks.engine import scenarios
from benchmarks.engine.scenarios import STREAMS, streams_first, streams_rate

_VNNI: Final = frozenset({"avx512_vnni", "amx_int8"})
_AVX2: Final = frozenset({"avx2"})

# Our loop over the bare loop of the same library, at any number of streams.
OVER_BARE: Final = 0.95
# A copying task over the same one without a copy.
COPY: Final = 1.8

_FIGURES: Final = (
    scenarios.PREFILL,
    *map(streams_rate, STREAMS),
    streams_first(max(STREAMS)),
    scenarios.SHARED,
)


@dataclass(frozen=True, slots=True)
class Column:
    """Aims for a class of processors, or of models.

    Attributes:
        title: Of the class.
        ratios: By name of the figure.
        copy: Of a copying task, or None.
    """

    title: str
    ratios: dict[str, float]
    copy: float | None = None


def _column(title: str, *ratios: float, copy: float | None = None) -> Column:
    return Column(title, dict(zip(_FIGURES, ratios, strict=True)), copy)


_UNREAD: Final = _column("models that OpenVINO does not read", 1.25, 1.1, 1.15, 1.15, 1.2, 20)
_CLASSES: Final = (
    (_VNNI, _column("AVX-512 VNNI", 5, 1.2, 2.5, 3.5, 5, 30)),
    (_AVX2, _column("AVX2", 1.4, 1.1, 1.15, 1.2, 2, 25, copy=COPY)),
)


def column(features: Iterable[str], *, openvino: bool) -> Column | None:
    """Return the aims for a processor with some features; None if none were set.

    Args:
        features: As in `Cpu.features`.
        openvino: Whether OpenVINO reads the model.
    """
    if not openvino:
        return _UNREAD
    found = frozenset(features)
    return next((aims for needed, aims in _CLASSES if needed & found), None)
