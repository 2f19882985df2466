"""Tokens a second through HTTP, and in the runtime's own step loop on the same machine.

    python -m benchmarks.throughput

Both sides run the built-in model, changed so that it writes random tokens and never ends: then
every completion has the same length and all tokens can be counted. The bare loop adds all
requests, steps, and reads the token ids; it neither decodes nor sends anything.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import program
from tenuto.engine.local import gguf
from tenuto.engine.local.model_file import built_in_model

TOKENS = 300
ROUNDS = 3
PROMPT = "\n\nHuman: Tell me a story about a fox.\n\nAssistant:"


def endless_model(folder: Path) -> Path:
    """The built-in model with a last norm of 0, which makes all tokens equally likely."""
    path = built_in_model()
    weights = bytearray(path.read_bytes())
    norm = next(t for t in gguf.read(path).tensors if t.name == "output_norm.weight")
    weights[norm.start : norm.start + norm.length] = bytes(norm.length)
    endless = folder / "endless.gguf"
    name = b"tokenizer.ggml.eos_token_id"
    endless.write_bytes(weights.replace(name, name[:-2] + b"__"))
    return endless


@contextmanager
def server(model: Path) -> Iterator[int]:
    """Run `tenuto serve`; yield its port."""
    command = [sys.executable, "-m", "tenuto", "serve", "--port", "0", "--model", str(model)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        port = int(process.stderr.readline().split(",")[0].rsplit(":", 1)[1])
        process.stderr.readline()
        # It logs a line for each request: a full pipe would stop it.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield port
        finally:
            process.terminate()


async def one_stream(port: int) -> float:
    """One streamed completion over a plain socket; seconds to its first text."""
    body = json.dumps(
        {"model": "any", "prompt": PROMPT, "max_tokens_to_sample": TOKENS, "stream": True}
    ).encode()
    head = (
        "POST /v1/complete HTTP/1.1\r\nhost: 127.0.0.1\r\nanthropic-version: 2023-06-01\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + body)
    await reader.readuntil(b"event: completion")
    first = time.perf_counter() - started
    end = b""
    while b'"stop_reason":"max_tokens"' not in end:
        chunk = await reader.read(65536)
        if not chunk:
            raise RuntimeError("the stream broke off")
        end = end[-64:] + chunk
    writer.close()
    return first


async def through_http(port: int, streams: int) -> tuple[float, float]:
    """Tokens a second of all streams together, and the median of their times to first text."""
    started = time.perf_counter()
    firsts = await asyncio.gather(*(one_stream(port) for _ in range(streams)))
    seconds = time.perf_counter() - started
    return streams * TOKENS / seconds, statistics.median(firsts)


BARE = """
import sys, time
from pathlib import Path
import numpy
from tenuto.engine.local import gguf
from tenuto.core.job import Sampling
from tenuto.engine.local.runtime import RuntimeOptions
from tenuto.engine.local.runtimes.openvino import library as openvino_library
from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime
openvino, genai = openvino_library.load()
path, prompt, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
runtime = OpenVinoRuntime(RuntimeOptions(path, 64), gguf.read(Path(path)))
pipeline, ids = runtime._pipeline, runtime.encode(prompt)
for streams in map(int, sys.argv[4:]):
    def config(seed):
        wanted = genai.GenerationConfig()
        wanted.max_new_tokens, wanted.rng_seed, wanted.do_sample = tokens, seed, True
        wanted.set_eos_token_id(min(runtime._ends))
        return wanted
    started, count = time.perf_counter(), 0
    tensor = openvino.Tensor(numpy.array([ids]))
    handles = [pipeline.add_request(seed, tensor, config(seed)) for seed in range(streams)]
    while pipeline.has_non_finished_requests():
        pipeline.step()
        for handle in handles:
            if handle.can_read():
                count += sum(len(o.generated_ids) for o in handle.read().values())
    print(count / (time.perf_counter() - started), flush=True)
"""


def bare_loop(model: Path, streams: int) -> float:
    """Tokens a second of the runtime's own loop, after a warm-up."""
    command = [sys.executable, "-c", BARE, str(model), PROMPT, str(TOKENS), "1", str(streams)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output.splitlines()[-1])


def main() -> None:
    """Print one line for each number of streams, the best of a few interleaved rounds."""
    print(f"tokens a second, {TOKENS} tokens a stream, best of {ROUNDS}")
    with tempfile.TemporaryDirectory() as folder:
        model = endless_model(Path(folder))
        for streams in (1, 8, 32):
            http: list[tuple[float, float]] = []
            bare: list[float] = []
            for _ in range(ROUNDS):
                with server(model) as port:
                    asyncio.run(through_http(port, 1))
                    http.append(asyncio.run(through_http(port, streams)))
                bare.append(bare_loop(model, streams))
            rate, first = max(http)
            print(
                f"  {streams:2} streams: {rate:8,.0f} through HTTP"
                f" ({first * 1000:5.0f} ms to first text)"
                f"   {max(bare):8,.0f} bare loop   ratio {rate / max(bare):.2f}"
            )


if __name__ == "__main__":
    program.run("benchmarks.throughput", __doc__, main)
