"""Sizes of llama.cpp's KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.machine import kv_budget
from tenuto.engine.local.runtime import CannotLoad, RuntimeOptions, context_of

# The library rounds the cells of its cache, one for each token, to multiples of this, and has at
# most this number of sequences.
_CELL_STEP: Final = 256
_MAX_SLOTS: Final = 256

# Tokens in a block of a pool. The library has no blocks; small ones waste little.
_BLOCK_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class CacheSizes:
    """Sizes of a cache.

    Where memory allows, each slot has cells for a whole context, and is a block. With longer
    contexts, all slots share one pool of cells: attention then also scans the cells of others, but
    many jobs run, and few need a whole context.

    Attributes:
        cells: Number of cells.
        cell_bytes: Bytes of a cell.
        slots: Number of slots, each for a job.
        pooled: Whether all slots share the cells.
        blocks: Number of blocks.
        block_tokens: Tokens in a block.
        context: Maximal tokens of a job.
    """

    cells: int
    cell_bytes: int
    slots: int
    pooled: bool
    blocks: int
    block_tokens: int
    context: int


def cache_sizes(options: RuntimeOptions, file: Gguf) -> CacheSizes:
    """Return the sizes for a model within the budget of the settings.

    Raises:
        CannotLoad: The budget is too small, or the context larger than trained.
    """
    context = context_of(file.hyperparameter("context_length"), options.context)
    cell = _cell_bytes(file)
    cells = kv_budget(options.kv_cache_mib) // cell // _CELL_STEP * _CELL_STEP
    if cells == 0:
        raise CannotLoad(
            f"kv_cache_mib is too small: {_CELL_STEP} tokens take {_CELL_STEP * cell} bytes"
        )
    slots = min(options.max_running, _MAX_SLOTS)
    slot_cells = -(-context // _CELL_STEP) * _CELL_STEP
    if cells >= slots * slot_cells:
        return CacheSizes(slots * slot_cells, cell, slots, False, slots, context, context)
    # At most one block for each slot, if the settings allow more jobs than slots.
    most = slots if options.max_running > slots else cells
    block = max(_BLOCK_TOKENS, -(-cells // most))
    blocks = cells // block
    return CacheSizes(cells, cell, slots, True, blocks, block, min(context, blocks * block))


def _cell_bytes(file: Gguf) -> int:
    """Return the bytes of a token in the 16-bit cache; at least 1."""

    def most(name: str, default: int) -> int:
        # Some architectures have a number for each layer.
        value = file.metadata.get(f"{file.architecture}.attention.{name}", default)
        return max(value) if isinstance(value, list) else int(value)

    heads = most("head_count", 0)
    width = file.hyperparameter("embedding_length") // max(heads, 1)
    widths = most("key_length", width) + most("value_length", width)
    return max(1, file.hyperparameter("block_count") * most("head_count_kv", heads) * widths * 2)
