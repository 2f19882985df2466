"""The step loop beside the bare C API: equal answers to 200 prompts, and none mixed."""

from __future__ import annotations

from ctypes import POINTER, c_float, c_int32, cast, create_string_buffer
from dataclasses import replace

import numpy as np
import pytest

from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import Runtime, RuntimeOptions
from tenuto.engine.local.runtimes.llamacpp import capi
from tenuto.engine.local.runtimes.llamacpp.runtime import LlamaCppRuntime
from tenuto.engine.local.runtimes.llamacpp.structs import Batch
from tests.engine.local.runtimes.answers import AnswersContract, Reference
from tests.engine.local.runtimes.contract import made

pytest.importorskip("xllamacpp")


class BareApi:
    """llama.cpp with its defaults; the library chooses positions, sequence and rows."""

    def __init__(self) -> None:
        self._library = library = capi.library()
        path = str(built_in_model()).encode()
        model = library.model_load_from_file(path, library.model_default_params())
        params = library.context_default_params()
        params.n_ctx, params.n_threads, params.n_threads_batch = 2048, 1, 1
        self._context = library.init_from_model(model, params)
        self._vocab = library.model_get_vocab(model)
        self._size = library.vocab_n_tokens(self._vocab)
        self._piece = create_string_buffer(256)

    def answer(self, prompt: list[int], most: int) -> tuple[list[bytes], float]:
        library = self._library
        library.memory_clear(library.get_memory(self._context), True)
        found: list[bytes] = []
        total = 0.0
        batch = prompt
        while len(found) < most:
            tokens = (c_int32 * len(batch))(*batch)
            given = Batch(len(batch), tokens, None, None, None, None, None)
            assert library.decode(self._context, given) == 0
            row = cast(library.get_logits_ith(self._context, -1), POINTER(c_float))
            logits = np.ctypeslib.as_array(row, (self._size,)).astype(np.float64)
            token = int(logits.argmax())
            total -= float(np.log(np.exp(logits - logits[token]).sum()))
            if library.vocab_is_eog(self._vocab, token):
                found.append(b"")
                break
            found.append(self._spell(token))
            batch = [token]
        return found, total

    def _spell(self, token: int) -> bytes:
        piece = self._piece
        size = self._library.token_to_piece(self._vocab, token, piece, len(piece), 0, False)
        return piece.raw[:size]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(BareApi().answer)


class TestLlamaCppAnswers(AnswersContract):
    """With cells for a whole context of each completion."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(LlamaCppRuntime, options)


class TestLlamaCppAnswersWithFewCells(TestLlamaCppAnswers):
    """With cells that all completions share."""

    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(LlamaCppRuntime, replace(options, kv_cache_mib=16))
