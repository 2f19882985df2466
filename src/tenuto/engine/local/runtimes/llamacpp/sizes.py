"""Sizes of the KV cache: cells, sequences and blocks. Number of threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.machine import kv_budget, physical_cores
from tenuto.engine.local.runtime import CannotLoad, RuntimeOptions, context_of
from tenuto.engine.local.runtimes.llamacpp.batch import Context
from tenuto.engine.local.runtimes.llamacpp.capi import Library
from tenuto.engine.local.runtimes.llamacpp.sequence import TOKEN_BYTES, Sequence
from tenuto.engine.local.runtimes.llamacpp.sequences import Abilities

# The library rounds the cells of its cache, one for each token, to multiples of this, and has at
# most this number of sequences.
_CELL_STEP: Final = 256
_MAX_SEQUENCES: Final = 256

# Sequences of ended jobs that share cells with running ones. Recurrent states take memory.
_KEPT: Final = 32
_KEPT_STATES: Final = 8
# Those with streams of their own take memory.
_KEPT_STREAMS: Final = 16

# From this number on, jobs that wait for a stream lose less than all lose by shared cells: with the
# shape of Qwen2.5-0.5B, 8 jobs have four fifths of the rate of 32, and each 1,000 shared cells cost
# a millisecond of processor time for each token.
_ENOUGH_STREAMS: Final = 8

# Unit of admission. The library has no blocks; small ones waste little.
_BLOCK_TOKENS: Final = 32

# With weights that a core's cache nearly holds, a step is over before threads have met.
_ONE_THREAD_BYTES: Final = 16_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of cells, sequences and blocks, and the maximal tokens of a job (`context`).

    Attributes:
        running: Most jobs that run at the same time.
        abilities: Of the sequences, which are these jobs' and ended ones'.
    """

    cells: int
    size_bytes: int
    running: int
    blocks: int
    block_tokens: int
    context: int
    abilities: Abilities


def sizes(library: Library, model: int, options: RuntimeOptions, file: Gguf) -> Sizes:
    """Return the sizes for a loaded model within the budget of the settings.

    Raises:
        CannotLoad: The budget is too small, or the context larger than trained.
    """
    context = context_of(file.hyperparameter("context_length"), options.context)
    cell, state = _cell_bytes(file), _state_bytes(library, model)
    running = min(options.max_running, _MAX_SEQUENCES)
    keeps = options.prefix_cache != "off"
    budget = kv_budget(options.kv_cache_mib)
    stream = -(-context // _CELL_STEP) * _CELL_STEP
    window = library.model_n_swa(model)
    # With a stream of cells for each sequence, none has to skip the cells of others. Copies of used
    # cells take a buffer of at most one stream.
    most = min(budget // (stream * cell + state) - (not window), _MAX_SEQUENCES)
    streams = most >= min(running, _ENOUGH_STREAMS)
    if streams:
        running = min(running, most)
        kept = min(max(running, 2), _KEPT_STREAMS) if keeps else 0
        sequences = min(most, running + kept)
        cells = sequences * stream
    else:
        kept = (_KEPT_STATES if state else _KEPT) if keeps else 0
        sequences = min(running + kept, _MAX_SEQUENCES)
        step = _CELL_STEP * cell
        cells = (budget - sequences * state) // step * _CELL_STEP
        if cells <= 0:
            least = step + sequences * state
            raise CannotLoad(f"kv_cache_mib is too small: {_CELL_STEP} tokens take {least} bytes")
        cells = min(cells, running * stream)
    usable = running * stream if streams else cells
    # At most one block for each sequence, if the settings allow more jobs than sequences.
    share = -(-usable // running) if options.max_running > running else 1
    block = max(_BLOCK_TOKENS, share)
    blocks = usable // block
    return Sizes(
        cells=cells,
        size_bytes=cells * cell + sequences * state,
        running=running,
        blocks=blocks,
        block_tokens=block,
        context=min(context, blocks * block),
        abilities=Abilities(
            count=sequences,
            stream=stream if streams else 0,
            partial=not state,
            window=window,
            keeps=keeps,
        ),
    )


def usual_threads(file: Gguf) -> int:
    """Return the number of threads if none is set.

    Threads wait for each other in a busy loop: one without a core delays all.
    """
    cores = physical_cores()
    if file.weight_bytes < _ONE_THREAD_BYTES:
        return 1
    return cores - 1 if cores > 2 else cores


def _state_bytes(library: Library, model: int) -> int:
    """Return the bytes of a sequence's recurrent state; 0 if the model has none."""
    context = Context(library, model, _CELL_STEP, 1, 2, 1, streams=False)
    try:
        sequence = Sequence("", bytearray(2 * TOKEN_BYTES), number=0)
        context.add(sequence, 2, 1)
        context.decode()
        # A part of a state cannot be removed.
        if library.memory_seq_rm(context.memory, 0, 1, -1):
            return 0
        return int(library.state_seq_get_size(context.pointer, 0))
    finally:
        context.close()


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
