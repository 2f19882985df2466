"""The network: Llama architecture (RMSNorm, rotary positions, SwiGLU, tied embeddings).

Input: token ids of shape (rows, length). Output: logits, or the mean loss with targets, weighted if
each target has a weight.

The rotation applies to neighbouring pairs (x[2i], x[2i+1]), as in the architecture `llama` of GGUF,
so the weights are exported without permutation.
"""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# The number of queries in a block. A block is multiplied with the keys up to its own end only,
# because the rest of a long attention matrix is masked.
QUERY_BLOCK = 512


@dataclass(frozen=True)
class Config:
    """The shape of a model, as the exporter declares it."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int  # a multiple of 32, as Q8_0 packs rows in blocks of 32
    context: int = 2048
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    def as_dict(self) -> dict[str, int | float]:
        """Return the fields as plain numbers, for the checkpoint."""
        return asdict(self)


# Heads are 64 wide: on a CPU a third faster than heads of 32.
SIZES: dict[str, dict[str, int]] = {
    "toy": {"width": 64, "layers": 2, "heads": 2, "kv_heads": 1, "ffn": 96},
    "1m": {"width": 128, "layers": 4, "heads": 2, "kv_heads": 1, "ffn": 352},
    "3m": {"width": 192, "layers": 6, "heads": 3, "kv_heads": 1, "ffn": 512},
    "6m": {"width": 256, "layers": 7, "heads": 4, "kv_heads": 2, "ffn": 704},
    "12m": {"width": 384, "layers": 7, "heads": 6, "kv_heads": 2, "ffn": 1024},
}


class RMSNorm(nn.Module):
    """Normalisation of vectors to unit root-mean-square, with learned weights, in float32."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.epsilon)


def rotation_tables(config: Config) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of shape (context, head width / 2)."""
    half = config.width // config.heads // 2
    frequencies = config.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(config.context, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each neighbouring pair of `x` by the angle of its position."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Apply causal attention; all tensors have the shape (rows, heads, length, head width).

    `scaled_dot_product_attention` is slower under torch.compile on a CPU, because of its backward
    pass.
    """
    length = query.shape[2]
    query = query * query.shape[-1] ** -0.5
    outputs = []
    for start in range(0, length, QUERY_BLOCK):
        end = min(start + QUERY_BLOCK, length)
        # -inf above the diagonal, shifted to the right by the keys before this block.
        mask = torch.full((end - start, end), float("-inf"), dtype=query.dtype, device=query.device)
        scores = query[:, :, start:end] @ key[:, :, :end].transpose(-2, -1) + mask.triu(start + 1)
        weights = scores.float().softmax(-1).to(value.dtype)
        outputs.append(weights @ value[:, :, :end])
    return torch.cat(outputs, dim=2)


def fused_linear(x: Tensor, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Apply several linear layers to one input as one product, which is faster."""
    product = functional.linear(x, torch.cat([layer.weight for layer in layers]))
    return torch.split(product, [layer.out_features for layer in layers], dim=-1)


class Block(nn.Module):
    """One layer: attention, then the gated feed-forward network, each added to its input."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads, self.kv_heads = config.heads, config.kv_heads
        width, head = config.width, config.width // config.heads
        self.head = head
        self.attention_norm = RMSNorm(width, config.epsilon)
        self.query = nn.Linear(width, config.heads * head, bias=False)
        self.key = nn.Linear(width, config.kv_heads * head, bias=False)
        self.value = nn.Linear(width, config.kv_heads * head, bias=False)
        self.output = nn.Linear(config.heads * head, width, bias=False)
        self.ffn_norm = RMSNorm(width, config.epsilon)
        self.gate = nn.Linear(width, config.ffn, bias=False)
        self.up = nn.Linear(width, config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        rows, length, _ = x.shape
        h = self.attention_norm(x)
        projected = fused_linear(h, self.query, self.key, self.value)
        query, key, value = (
            part.view(rows, length, -1, self.head).transpose(1, 2) for part in projected
        )
        # The rotation is computed in float32, the products below in the type of `value`.
        query = rotate(query, cos, sin).to(value.dtype)
        key = rotate(key, cos, sin).to(value.dtype)
        shared = self.heads // self.kv_heads
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
        mixed = attend(query, key, value).transpose(1, 2).reshape(rows, length, -1)
        x = x + self.output(mixed)
        h = self.ffn_norm(x)
        gate, up = fused_linear(h, self.gate, self.up)
        added: Tensor = self.down(functional.silu(gate) * up)
        return x + added


class Llama(nn.Module):
    """The whole network; the embedding is also the output matrix."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.cos: Tensor
        self.sin: Tensor
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.epsilon)
        cos, sin = rotation_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Weights that add to the residual stream start smaller with more layers.
                adds = name.endswith(("output.weight", "down.weight"))
                scale = 1 / math.sqrt(2 * config.layers) if adds else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    def forward(
        self, ids: Tensor, targets: Tensor | None = None, weights: Tensor | None = None
    ) -> Tensor:
        length = ids.shape[1]
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        logits = functional.linear(self.norm(x), self.embedding.weight)
        if targets is None:
            return logits
        logits, targets = logits.float().flatten(0, 1), targets.flatten()
        if weights is None:
            return functional.cross_entropy(logits, targets)
        losses = functional.cross_entropy(logits, targets, reduction="none")
        return (losses * weights.flatten()).sum() / weights.sum()

    def parameter_count(self) -> int:
        """Return the number of trained parameters."""
        return sum(parameter.numel() for parameter in self.parameters())
