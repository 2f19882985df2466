"""A context of llama.cpp: a KV cache, and one batch that is filled for each step."""

from __future__ import annotations

import ctypes
from array import array
from ctypes import POINTER, addressof, c_int8, c_int32
from typing import Any, Final

from tenuto.engine.local.runtime import CannotLoad
from tenuto.engine.local.runtimes.llamacpp.capi import Library
from tenuto.engine.local.runtimes.llamacpp.sequence import TOKEN_BYTES, Sequence
from tenuto.engine.local.runtimes.llamacpp.structs import Batch

_NO_CELLS: Final = 1

# Each takes memory: 4 bytes for each token of the vocabulary, twice.
_LEAST_ROWS: Final = 16


class DecodeError(Exception):
    """The library failed on a batch; the state of its cache is unknown."""


class Context:
    """A context with one KV cache.

    Args:
        library: The library.
        model: The model's pointer.
        cells: Size of the KV cache in tokens.
        sequences: Number of sequences.
        size: Most tokens in a batch.
        threads: Number of computing threads.
        streams: Whether each sequence has an equal part of the cells of its own.

    Attributes:
        pointer: For calls of the library.
        memory: For calls of the library.
        rows: Most tokens of a batch whose logits are computed.
        room: Number of tokens that fit into the current batch.

    Raises:
        CannotLoad: The library cannot allot it.
    """

    def __init__(
        self,
        library: Library,
        model: int,
        cells: int,
        sequences: int,
        size: int,
        threads: int,
        *,
        streams: bool,
    ) -> None:
        self._library = library
        params = library.context_default_params()
        params.n_ctx, params.n_seq_max, params.kv_unified = cells, sequences, not streams
        params.n_batch = params.n_ubatch = size
        self.rows: int = max(sequences, _LEAST_ROWS)
        params.n_outputs_max = self.rows
        params.n_threads = params.n_threads_batch = threads
        library.errors.clear()
        self.pointer = library.init_from_model(model, params)
        if not self.pointer:
            raise CannotLoad(f"llama.cpp cannot run this model: {library.reason()}")
        # Whether the struct arrived as it was passed.
        for name in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_threads", "n_threads_batch"):
            passed, reported = getattr(params, name), getattr(library, name)(self.pointer)
            if reported != passed:
                raise CannotLoad(f"llama.cpp reports {name} {reported} instead of {passed}")
        self.memory: int = library.get_memory(self.pointer)

        self.room = self._size = size
        self._tokens, self._positions = (c_int32 * size)(), (c_int32 * size)()
        self._numbers, self._rows = (c_int32 * size)(), (c_int8 * size)()
        self._ones = (c_int32 * size)(*[1] * size)
        pointer, base = POINTER(c_int32), addressof(self._numbers)
        self._pointers: Any = (pointer * size)(
            *(ctypes.cast(base + TOKEN_BYTES * place, pointer) for place in range(size))
        )
        self._batch = Batch(
            0, self._tokens, None, self._positions, self._ones, self._pointers, self._rows
        )
        # The same arrays as bytes, to copy many items at once.
        self._token_bytes = memoryview(self._tokens).cast("B")
        self._position_bytes = memoryview(self._positions).cast("B")
        self._row_bytes = memoryview(self._rows).cast("B")
        self._all_positions = array("i", range(cells)).tobytes()

    def close(self) -> None:
        """Free the context."""
        self._library.free(self.pointer)

    def empty(self) -> None:
        """Empty the batch."""
        self.room = self._size

    def add(self, sequence: Sequence, count: int, rows: int) -> range:
        """Add the next `count` tokens of a sequence, the last `rows` of them with logits.

        Returns:
            The places of the rows in the batch.
        """
        start = self._size - self.room
        end = start + count
        self.room -= count
        computed = sequence.computed
        to = slice(start * TOKEN_BYTES, end * TOKEN_BYTES)
        part = slice(computed * TOKEN_BYTES, (computed + count) * TOKEN_BYTES)
        self._token_bytes[to] = sequence.ids[part]
        self._position_bytes[to] = self._all_positions[part]
        self._numbers[start:end] = [sequence.number] * count
        self._row_bytes[start:end] = bytes(count - rows) + b"\1" * rows
        return range(end - rows, end)

    def decode(self) -> bool:
        """Compute the batch. Return False if the cache lacks cells for its tokens.

        Raises:
            DecodeError: The library failed.
        """
        self._batch.n_tokens = self._size - self.room
        result = self._library.decode(self.pointer, self._batch)
        if result not in (0, _NO_CELLS):
            raise DecodeError(f"llama_decode returns {result}")
        return bool(result == 0)
