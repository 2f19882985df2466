"""Shapes of known models, of 0.2 to 0.5 billion weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's sizes, in the terms of GGUF files.

    Attributes:
        name: The model that it is taken from, for people.
        heads: Of queries; `kv_heads` of keys and values.
        head: Width of a head.
        inner: Width of the feed-forward part.
        context: Tokens that it was trained with.
        biases: Whether queries, keys and values have them.
        head_norms: Whether queries and keys are normalised by head.
        post_norms: Whether the outputs of attention and feed-forward part are normalised.
        window: Tokens in a sliding window of some layers; 0 if none has one.
        kernel: Width of the short convolutions of other layers than `attentive` ones; 0 if all
            layers have attention.
    """

    name: str
    architecture: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    inner: int
    vocabulary: int
    context: int = 32_768
    biases: bool = False
    head_norms: bool = False
    post_norms: bool = False
    window: int = 0
    kernel: int = 0
    attentive: tuple[int, ...] = ()

    @property
    def kv_heads_by_layer(self) -> int | list[int]:
        """The entry `attention.head_count_kv`: a list if some layers have no attention."""
        if not self.kernel:
            return self.kv_heads
        return [self.kv_heads * (layer in self.attentive) for layer in range(self.layers)]


SHAPES: Final[dict[str, Shape]] = {
    "qwen": Shape(
        name="Qwen2.5-0.5B",
        architecture="qwen2",
        layers=24,
        width=896,
        heads=14,
        kv_heads=2,
        head=64,
        inner=4864,
        vocabulary=151_936,
        biases=True,
    ),
    "llama": Shape(
        name="Llama, 0.2B",
        architecture="llama",
        layers=16,
        width=1024,
        heads=16,
        kv_heads=4,
        head=64,
        inner=2816,
        vocabulary=32_000,
    ),
    "gemma3": Shape(
        name="Gemma 3 270M",
        architecture="gemma3",
        layers=18,
        width=640,
        heads=4,
        kv_heads=1,
        head=256,
        inner=2048,
        vocabulary=262_144,
        head_norms=True,
        post_norms=True,
        window=512,
    ),
    "lfm2": Shape(
        name="LFM2-350M",
        architecture="lfm2",
        layers=16,
        width=1024,
        heads=16,
        kv_heads=8,
        head=64,
        inner=4608,
        vocabulary=65_536,
        head_norms=True,
        kernel=3,
        attentive=(2, 5, 8, 10, 12, 14),
    ),
}
