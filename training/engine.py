"""Batch completion with a GGUF file, through OpenVINO GenAI or llama.cpp.

Input: prompts as text. Output: an `Answer` for each, in the same order. The server has the same
runtimes, so the measurements apply to it.
"""

import json
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from tenuto.engine.local.runtimes.openvino import library as openvino_library
from training.tokenizer import END_ID

openvino, genai = openvino_library.load()

STOP = "\n\nHuman:"
CACHE_GIB = 1


class Answer(NamedTuple):
    """The text of the model up to the stop sequence; `ended` is false at the token limit."""

    text: str
    ended: bool


class Engine(Protocol):
    """A loaded model."""

    def complete(
        self,
        prompts: Sequence[str],
        temperature: float = 0.0,
        seed: int = 1,
        max_tokens: int = 400,
    ) -> list[Answer]:
        """Complete all prompts; temperature 0 takes the likeliest token every time.

        Every prompt has the same seed, like separate requests.
        """
        ...


class OpenVino:
    """A model loaded by OpenVINO GenAI."""

    def __init__(self, model: Path, threads: int = 2) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GIB
        self._pipeline = genai.ContinuousBatchingPipeline(
            str(model), scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
        )
        self._tokenizer = self._pipeline.get_tokenizer()

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, without the token that begins every document."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        ids: list[int] = encoded.input_ids.data[0].tolist()
        return ids

    def complete(
        self,
        prompts: Sequence[str],
        temperature: float = 0.0,
        seed: int = 1,
        max_tokens: int = 400,
    ) -> list[Answer]:
        """Complete all prompts; see `Engine`."""
        config = genai.GenerationConfig()
        config.max_new_tokens = max_tokens
        config.stop_token_ids = {END_ID}
        config.stop_strings = {STOP}
        config.include_stop_str_in_output = True
        config.do_sample = temperature > 0
        if config.do_sample:
            config.temperature = temperature
            config.top_p, config.top_k = 0.95, 40
        config.rng_seed = seed
        handles = []
        for number, prompt in enumerate(prompts):
            # The pipeline's tokenizer omits the token that begins each training document.
            ids = np.array([[END_ID, *self.encode(prompt)]], dtype=np.int64)
            handles.append(self._pipeline.add_request(number, openvino.Tensor(ids), config))
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        answers = []
        for handle in handles:
            (output,) = handle.read_all()
            written = [token for token in output.generated_ids if token != END_ID]
            text = self._tokenizer.decode(written).split(STOP)[0]
            ended = output.finish_reason == genai.GenerationFinishReason.STOP
            answers.append(Answer(text, ended))
        return answers


class LlamaCpp:
    """A model loaded by llama.cpp, which runs files of any tokenizer for a comparison."""

    def __init__(self, model: Path, threads: int = 2) -> None:
        import xllamacpp as untyped

        xllamacpp: Any = untyped
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model)
        parameters.n_ctx, parameters.n_parallel = 4 * 2048, 4
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
        parameters.port, parameters.warmup, parameters.verbosity = 0, False, 0
        self._server = xllamacpp.Server(parameters)

    def _complete(self, body: dict[str, object]) -> Answer:
        request = urllib.request.Request(
            f"{self._server.listening_address}/completion",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:
            found = json.loads(response.read())
        return Answer(found["content"], found["stop_type"] != "limit")

    def complete(
        self,
        prompts: Sequence[str],
        temperature: float = 0.0,
        seed: int = 1,
        max_tokens: int = 400,
    ) -> list[Answer]:
        """Complete all prompts; see `Engine`."""
        settings = {"stop": [STOP], "cache_prompt": False, "n_predict": max_tokens, "seed": seed}
        settings |= {"temperature": temperature, "top_p": 0.95, "top_k": 40, "min_p": 0.0}
        bodies = [{"prompt": prompt, **settings} for prompt in prompts]
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(self._complete, bodies))


RUNTIMES: dict[str, Callable[[Path, int], Engine]] = {"openvino": OpenVino, "llamacpp": LlamaCpp}
