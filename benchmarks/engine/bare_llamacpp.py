"""A step loop over llama.cpp's C API and nothing else, as a program: model, threads, texts.

For each line of streams, prompt tokens, completion tokens and a seed, it computes all prompts,
then a token of each sequence a step, and prints tokens a second. Contexts have the library's
defaults but for their sizes. The prompts are of tokens below `texts`.
"""

from __future__ import annotations

import ctypes
import sys
import time
from ctypes import POINTER, c_int8, c_int32
from typing import Any, Final

import numpy as np

from tenuto.engine.local.runtimes.llamacpp import capi
from tenuto.engine.local.runtimes.llamacpp.structs import Batch

# The library rounds the cells of a sequence up to multiples of this.
_CELLS: Final = 256
_BATCH: Final = 2048  # the default


class _Loop:
    def __init__(self, path: str, threads: int) -> None:
        self._library = library = capi.library()
        self._threads = threads
        self._model = library.model_load_from_file(path.encode(), library.model_default_params())
        if not self._model:
            raise RuntimeError(library.reason())
        self._chain = library.sampler_chain_init(library.sampler_chain_default_params())
        library.sampler_chain_add(self._chain, library.sampler_init_greedy())
        self._tokens, self._positions = (c_int32 * _BATCH)(), (c_int32 * _BATCH)()
        self._numbers, self._rows = (c_int32 * _BATCH)(), (c_int8 * _BATCH)()
        pointer, base = POINTER(c_int32), ctypes.addressof(self._numbers)
        addresses = range(base, base + 4 * _BATCH, 4)
        self._pointers: Any = (pointer * _BATCH)(
            *(ctypes.cast(address, pointer) for address in addresses)
        )
        self._ones = (c_int32 * _BATCH)(*[1] * _BATCH)

    def rate(self, prompts: Any, tokens: int) -> float:
        """Return tokens a second of a completion for each row of token ids, prefill included."""
        library = self._library
        streams, length = prompts.shape
        context = self._context(streams, length + tokens)
        try:
            started: float = time.perf_counter()
            last = self._prefill(context, prompts)
            for position in range(length, length + tokens - 1):
                items = [(last[number], position, number, 1) for number in range(streams)]
                last = self._decode(context, items)
            return int(streams) * tokens / (time.perf_counter() - started)
        finally:
            library.free(context)

    def _context(self, streams: int, tokens: int) -> int:
        library = self._library
        params = library.context_default_params()
        params.n_ctx = streams * -(-tokens // _CELLS) * _CELLS
        params.n_seq_max = params.n_outputs_max = streams
        params.n_threads = params.n_threads_batch = self._threads
        context: int | None = library.init_from_model(self._model, params)
        if not context:
            raise RuntimeError(library.reason())
        return context

    def _prefill(self, context: int, prompts: Any) -> list[int]:
        """Compute prompts in full batches. Return the first token of each completion."""
        streams, length = prompts.shape
        items = [
            (int(prompts[number, position]), position, number, position == length - 1)
            for number in range(streams)
            for position in range(length)
        ]
        found: list[int] = []
        size = min(_BATCH, self._library.n_batch(context))
        for start in range(0, len(items), size):
            found += self._decode(context, items[start : start + size])
        return found

    def _decode(self, context: int, items: list[tuple[int, int, int, Any]]) -> list[int]:
        """Compute a batch of token, position, sequence and whether to sample after it."""
        count = len(items)
        tokens, positions, numbers, rows = (list(column) for column in zip(*items, strict=True))
        self._tokens[:count], self._positions[:count] = tokens, positions
        self._numbers[:count], self._rows[:count] = numbers, rows
        batch = Batch(
            count, self._tokens, None, self._positions, self._ones, self._pointers, self._rows
        )
        result = self._library.decode(context, batch)
        if result:
            raise RuntimeError(f"llama_decode returns {result}")
        sample = self._library.sampler_sample
        return [sample(self._chain, context, place) for place in range(count) if rows[place]]


def main() -> None:
    """Load the model, and measure until the input ends."""
    path, threads, texts = sys.argv[1:]
    loop = _Loop(path, int(threads))
    print("ready", flush=True)
    for line in sys.stdin:
        streams, prompt, tokens, seed = map(int, line.split())
        prompts = np.random.default_rng(seed).integers(0, int(texts), size=(streams, prompt))
        print(loop.rate(prompts, tokens), flush=True)


if __name__ == "__main__":
    main()
