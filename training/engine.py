"""Completes prompts with a GGUF file, many at once, by way of OpenVINO GenAI.

In: prompts as text. Out: an `Answer` for each, in the same order. OpenVINO GenAI is what the server
itself runs the built-in model with, so what is measured here is what users get.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino
import openvino_genai as genai

from training.tokenizer import END_ID

STOP = "\n\nHuman:"
CACHE_GIB = 1


class Answer(NamedTuple):
    """What the model wrote, up to the stop sequence, and whether it ended by itself."""

    text: str
    ended: bool


class Engine:
    """A loaded model."""

    def __init__(self, model: Path, threads: int = 2) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GIB
        self._pipeline = genai.ContinuousBatchingPipeline(
            str(model), scheduler, "CPU", {"INFERENCE_NUM_THREADS": threads}
        )
        self._tokenizer = self._pipeline.get_tokenizer()

    def encode(self, text: str) -> list[int]:
        """Returns the tokens of a text, without the one that begins every document."""
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
        """Completes all prompts; temperature 0 takes the likeliest token every time.

        The same seed serves for every prompt, as if each were a request of its own.
        """
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
            # The pipeline's tokenizer leaves out the token that began each training document.
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
