"""OpenVINO's own step loop, as a program: model, threads, texts.

For each line of streams, prompt tokens, completion tokens and a seed, it adds all requests, steps
until they are done, reads the token ids, and prints tokens a second. It neither tokenises nor
decodes nor sends anything: that is what a server adds. The prompts are of tokens below `texts`.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from tenuto.engine.local.runtimes.openvino import library as openvino_library

ov, genai = openvino_library.load()

# As the embedded engine has it.
_STEP_TOKENS = 512
_CACHE_GB = 2


def main() -> None:
    """Load the model, and measure until the input ends."""
    scheduler = genai.SchedulerConfig()
    scheduler.cache_size = _CACHE_GB
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = _STEP_TOKENS
    threads = {"INFERENCE_NUM_THREADS": int(sys.argv[2])}
    pipeline = genai.ContinuousBatchingPipeline(sys.argv[1], scheduler, "CPU", threads)
    print("ready", flush=True)
    for line in sys.stdin:
        print(_rate(pipeline, int(sys.argv[3]), *map(int, line.split())), flush=True)


def _rate(pipeline: Any, texts: int, streams: int, prompt: int, tokens: int, seed: int) -> float:
    prompts = np.random.default_rng(seed).integers(0, texts, size=(streams, 1, prompt))
    config = genai.GenerationConfig()
    config.max_new_tokens = tokens
    started, count = time.perf_counter(), 0
    handles = [
        pipeline.add_request(number, ov.Tensor(ids), config) for number, ids in enumerate(prompts)
    ]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for handle in handles:
            if handle.can_read():
                count += sum(len(output.generated_ids) for output in handle.read().values())
    if count != streams * tokens:
        raise RuntimeError(f"{count} tokens instead of {streams * tokens}")
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
