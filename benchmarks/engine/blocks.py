"""Random matrices in GGUF's quantised forms, and the mixture of forms in `Q4_K_M`.

The gguf package quantises no K-quants. A random matrix needs no quantising: the numbers of its
blocks are drawn, with constant scales that give the weights the wanted spread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf import GGMLQuantizationType as Kind

# Blocks of this many weights need rows of a multiple of them.
_LARGE: Final = 256
_INSTEAD: Final = {Kind.Q4_K: Kind.Q5_0, Kind.Q6_K: Kind.Q8_0}

# Standard deviation of the whole numbers of a block.
_DEVIATION: Final = {
    Kind.Q8_0: (256**2 / 12) ** 0.5,
    Kind.Q6_K: (64**2 / 12) ** 0.5,
    Kind.Q5_0: (32**2 / 12) ** 0.5,
    Kind.Q4_K: (16**2 / 12) ** 0.5,
    Kind.Q4_0: (16**2 / 12) ** 0.5,
}
# Scales and minima of the eight parts of a Q4_K block, 6 bits each. The product of minimum and its
# factor is a whole number of steps, because OpenVINO rounds it to one.
_PART_SCALE: Final = 32
_PART_MINIMUM: Final = 60
_Q6_PART_SCALE: Final = 64


def random_matrix(
    draw: np.random.Generator, rows: int, columns: int, kind: Kind, spread: float
) -> Any:
    """Return a matrix of weights in a form, as bytes, one row of blocks for each row.

    Args:
        draw: The source of its numbers.
        rows: Number of rows.
        columns: Weights in a row: a multiple of 32, and of 256 for a K-quant.
        kind: Its form.
        spread: Standard deviation of the weights.
    """
    weights, size = GGML_QUANT_SIZES[kind]
    if columns % weights:
        raise ValueError(f"{kind.name} needs rows of a multiple of {weights} weights")
    data = draw.integers(0, 256, size=(rows * columns // weights, size), dtype=np.uint8)
    # Numbers of few bits have a mean of half a step, so scales of both signs: a common mean of all
    # weights grows from layer to layer, and outweighs the rest.
    signs = draw.integers(0, 2, size=(len(data), 1), dtype=np.uint8) << 7
    _SCALES[kind](data, spread / _DEVIATION[kind], signs)
    return data.reshape(rows, -1)


def mixed(kind: Kind, columns: int) -> Kind:
    """Return the form that llama.cpp takes instead where the rows do not suit a K-quant."""
    return kind if columns % _LARGE == 0 else _INSTEAD.get(kind, kind)


def has_more_bits(layer: int, layers: int) -> bool:
    """Return whether `Q4_K_M` has 6 bits for some matrices of a layer, as in llama.cpp."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _half(value: float) -> Any:
    return np.frombuffer(np.float16(value).tobytes(), dtype=np.uint8)


def _leading_scale(data: Any, step: float, signs: Any) -> None:
    data[:, :2] = _half(step)
    data[:, 1:2] |= signs


def _q4_k(data: Any, step: float, signs: Any) -> None:
    data[:, :2] = _half(step / _PART_SCALE)
    data[:, 2:4] = _half(step * 8 / _PART_MINIMUM)
    data[:, 1:4:2] |= signs
    scale, minimum = _PART_SCALE, _PART_MINIMUM
    # Four parts have all bits in a byte; of the others, two bits are at the top of these bytes.
    data[:, 4:8] = scale | (scale >> 4) << 6
    data[:, 8:12] = minimum | (minimum >> 4) << 6
    data[:, 12:16] = scale & 15 | (minimum & 15) << 4


def _q6_k(data: Any, step: float, signs: Any) -> None:
    data[:, 192:208] = _Q6_PART_SCALE
    data[:, 208:] = _half(step / _Q6_PART_SCALE)
    data[:, 209:] |= signs


_SCALES: Final[dict[Kind, Callable[[Any, float, Any], None]]] = {
    Kind.Q8_0: _leading_scale,
    Kind.Q5_0: _leading_scale,
    Kind.Q4_0: _leading_scale,
    Kind.Q4_K: _q4_k,
    Kind.Q6_K: _q6_k,
}
