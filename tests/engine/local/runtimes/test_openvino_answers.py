"""OpenVINO's steps beside its own loop: equal answers to 200 prompts, and none mixed."""

from __future__ import annotations

import numpy as np
import pytest

from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import Runtime, RuntimeOptions
from tenuto.engine.local.runtimes.openvino import library, metadata
from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime
from tenuto.engine.local.vocabulary import token_bytes
from tests.engine.local.runtimes.answers import AnswersContract, Reference
from tests.engine.local.runtimes.contract import made

pytest.importorskip("openvino_genai")


class OwnPipeline:
    """`ContinuousBatchingPipeline.generate` without a prefix cache, one prompt a call."""

    def __init__(self) -> None:
        file = gguf.read(built_in_model())
        self._table, self._ends = token_bytes(file), metadata.end_tokens(file)
        self._ov, self._genai = library.load()
        scheduler = self._genai.SchedulerConfig()
        scheduler.num_kv_blocks = 80
        scheduler.max_num_batched_tokens = 2048
        properties = {"INFERENCE_NUM_THREADS": 1, "KV_CACHE_PRECISION": "u8"}
        self._pipeline = self._genai.ContinuousBatchingPipeline(
            str(built_in_model()), scheduler, "CPU", properties
        )

    def answer(self, prompt: list[int], most: int) -> tuple[list[bytes], float]:
        config = self._genai.GenerationConfig()
        config.max_new_tokens = most
        config.stop_token_ids = self._ends
        config.logprobs = 1
        ids = self._ov.Tensor(np.array([prompt], dtype=np.int64))
        (output,) = self._pipeline.generate([ids], [config])
        found = [self._table[token] for token in output.m_generation_ids[0]]
        return found, output.m_scores[0]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(OwnPipeline().answer)


class TestOpenVinoAnswers(AnswersContract):
    @classmethod
    def make(cls, options: RuntimeOptions) -> Runtime:
        return made(OpenVinoRuntime, options)
