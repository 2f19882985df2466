"""Sizes of the KV cache, and of tokens, that llama.cpp does not report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenuto.engine.local.gguf import Gguf, ModelFileError
from tenuto.engine.local.machine import kv_budget
from tenuto.engine.local.runtime import CannotLoad, RuntimeOptions, context_of
from tenuto.engine.local.vocabulary import token_bytes

# The library rounds the cells of its cache, one for each token, to multiples of this, and has at
# most this number of sequences.
_CELL_STEP: Final = 256
_MAX_SLOTS: Final = 256

# Tokens in a block of a pool. The library has no blocks; small ones waste little.
_BLOCK_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class CacheSizes:
    """Numbers of cells, slots and blocks, and the maximal tokens of a job (`context`).

    Where memory allows, each slot has cells for a whole context, and is a block. With longer
    contexts, all slots share one pool of cells: attention then also scans the cells of others, but
    many jobs run, and few need a whole context.
    """

    cells: int
    size_bytes: int
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
    cell = cell_bytes(file)
    cells = kv_budget(options.kv_cache_mib) // cell // _CELL_STEP * _CELL_STEP
    if cells == 0:
        raise CannotLoad(
            f"kv_cache_mib is too small: {_CELL_STEP} tokens take {_CELL_STEP * cell} bytes"
        )
    slots = min(options.max_running, _MAX_SLOTS)
    slot_cells = -(-context // _CELL_STEP) * _CELL_STEP
    if cells >= slots * slot_cells:
        cells = slots * slot_cells
        return CacheSizes(cells, cells * cell, slots, False, slots, context, context)
    # At most one block for each slot, if the settings allow more jobs than slots.
    most = slots if options.max_running > slots else cells
    block = max(_BLOCK_TOKENS, -(-cells // most))
    blocks = cells // block
    return CacheSizes(cells, cells * cell, slots, True, blocks, block, min(context, blocks * block))


def cell_bytes(file: Gguf) -> int:
    """Return the bytes of a token in the 16-bit cache; at least 1."""

    def most(name: str, default: int) -> int:
        # Some architectures have a number for each layer.
        value = file.metadata.get(f"{file.architecture}.attention.{name}", default)
        return max(value) if isinstance(value, list) else int(value)

    heads = most("head_count", 0)
    width = file.hyperparameter("embedding_length") // max(heads, 1)
    widths = most("key_length", width) + most("value_length", width)
    return max(1, file.hyperparameter("block_count") * most("head_count_kv", heads) * widths * 2)


def longest_token(file: Gguf) -> int:
    """Return the bytes of the longest token."""
    try:
        table = token_bytes(file)
    except ModelFileError:
        # Spellings in the file are hardly shorter than the bytes that they stand for.
        table = [token.encode("utf-8", "surrogateescape") for token in file.tokens]
    return max(map(len, table), default=1)
