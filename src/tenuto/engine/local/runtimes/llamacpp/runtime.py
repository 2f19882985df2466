"""llama.cpp's server core, in this process, through xllamacpp.

The library batches in a thread of its own. Each completion has a Python thread that waits in the
library, and puts the chunks of its callback on one queue, which `step` reads.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from tenuto.core.job import Sampling
from tenuto.engine.local.gguf import CONTROL, Gguf
from tenuto.engine.local.machine import physical_cores
from tenuto.engine.local.runtime import Delta, Runtime, RuntimeOptions, not_installed
from tenuto.engine.local.runtimes.llamacpp.cache import cache_sizes, longest_token
from tenuto.engine.local.runtimes.llamacpp.chunks import ending, scored_tokens
from tenuto.engine.local.runtimes.llamacpp.server import LlamaServer, check_runs
from tenuto.engine.local.runtimes.llamacpp.slots import Slot, Slots

# A step waits this long for an event, and so does a cancellation that comes meanwhile.
_STEP_TIMEOUT_S: Final = 0.05

# In the order of OpenVINO. Others are off: penalties, min-p, typical, XTC, DRY.
_SAMPLERS: Final = ("temperature", "top_p", "top_k")

# The API's maximum. Log probabilities cost a sort of the vocabulary for every token.
_MAX_LOGPROBS: Final = 20

# The library's seeds have 32 bits; this one selects a random seed.
_RANDOM_SEED: Final = 2**32 - 1


@dataclass(slots=True, eq=False)
class _Job:
    """A completion. Its thread reads `cancelled`, and writes `callbacks` and `tokens`.

    Attributes:
        generated: Whether `step` has returned a token, so that its prompt is in its slot.
        callbacks: Number of callbacks from the library.
        tokens: Number of its tokens.
    """

    key: int
    body: dict[str, Any]
    logprobs: int | None
    tenant: str = ""
    slot: Slot | None = None
    generated: bool = False
    cancelled: bool = False
    callbacks: int = 0
    tokens: int = 0


class LlamaCppRuntime(Runtime):
    """A GGUF model in an `xllamacpp.Server`.

    Raises:
        CannotLoad: The library is not installed, or cannot read this model.
    """

    most_logprobs = _MAX_LOGPROBS
    # A slot reuses only its own cache.
    shares_prefixes = False

    def __init__(self, options: RuntimeOptions, file: Gguf) -> None:
        try:
            import xllamacpp as untyped  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise not_installed(str(error.name)) from None
        xllamacpp: Any = untyped
        self.longest_token: int = longest_token(file)
        self._bos = file.token_id("bos")
        self._control = file.tokens_of_type(CONTROL)

        params = xllamacpp.CommonParams()
        params.model.path = options.path
        params.verbosity = 1  # errors only
        # Threads wait for each other in a busy loop: one without a core delays all.
        cores = physical_cores()
        self.threads: int = options.threads or (cores - 1 if cores > 2 else cores)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        # Between two batches of a long prompt, other jobs continue, and it can be cancelled.
        params.n_batch = options.batch_tokens
        params.cache_ram_mib = 0  # a second cache, outside the budget
        params.chat_template = "chatml"  # unused; the model's own might not parse
        sizes = cache_sizes(options, file)
        self.kv_blocks: int = sizes.blocks
        self.block_tokens: int = sizes.block_tokens
        self.kv_bytes: int = sizes.size_bytes
        params.n_ctx, params.n_parallel = sizes.cells, sizes.slots
        params.kv_unified = sizes.pooled
        self._caches = options.prefix_cache != "off"
        # Without `Slots`, the library chooses by common prefixes, for all tenants.
        self._slots = Slots(sizes.slots) if options.prefix_cache == "per_key" else None
        self._server = LlamaServer(xllamacpp, params)
        # May be less than requested.
        granted: int = self._server.request("/props")["default_generation_settings"]["n_ctx"]
        self.context: int = min(sizes.context, granted)

        self._jobs: dict[int, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._cancelling = 0
        # In the library, cancelled ones included.
        self._running: list[_Job] = []
        # Callbacks about prompts; simultaneous ones may count as one.
        self._prompt_callbacks = 0
        # Events of the jobs' threads: a delta, or None at the end of the thread.
        self._events: SimpleQueue[tuple[_Job, Delta | None]] = SimpleQueue()

    def encode(self, text: str) -> list[int]:
        ids = self._tokenise(text, special=True)
        # The library adds BOS even to a text that spells it.
        return ids[1:] if ids[:2] == [self._bos] * 2 else ids

    def encode_plain(self, text: str) -> list[int]:
        return self._tokenise(text, special=False)

    def _tokenise(self, text: str, *, special: bool) -> list[int]:
        check_runs(text)
        body = {"content": text, "add_special": special, "parse_special": special}
        ids: list[int] = self._server.request("/tokenize", body)["tokens"]
        return ids

    def begin(
        self, key: int, prompt: Sequence[int], max_tokens: int, sampling: Sampling, tenant: str = ""
    ) -> None:
        body = {
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "seed": (sampling.seed or 0) % _RANDOM_SEED,
            "samplers": _SAMPLERS,
            "temperature": sampling.temperature,
            "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
            "top_k": sampling.top_k or 0,
            "stream": True,
            "cache_prompt": self._caches,
            "timings_per_token": True,  # count the tokens
            "return_progress": True,  # call back between two batches of a prompt too
        }
        if sampling.logprobs is not None:
            body["logprobs"] = max(1, sampling.logprobs)  # 0 turns them off
        job = self._jobs[key] = _Job(key, body, sampling.logprobs, tenant)
        self._waiting.append(job)
        self._start_waiting()

    def cancel(self, key: int) -> None:
        """See `Runtime.cancel`. A prompt stops at the end of its batch."""
        job = self._jobs.pop(key)
        if job in self._waiting:
            self._waiting.remove(job)
        else:
            job.cancelled = True
            self._cancelling += 1

    def progress(self) -> dict[str, int]:
        # A batch has a token of each completion, but prompts are computed one after another.
        progress = {str(job.key): job.callbacks for job in self._running if job.tokens}
        if len(progress) < len(self._running):
            progress["prompts"] = self._prompt_callbacks
        return progress

    def step(self) -> list[Delta]:
        """See `Runtime.step`. Returns an empty list after a while without events."""
        deltas = []
        with contextlib.suppress(Empty):
            job, delta = self._events.get(timeout=_STEP_TIMEOUT_S)
            while True:
                in_flight = self._jobs.get(job.key) is job
                if delta is None:
                    self._running.remove(job)
                    self._ended(job)
                if in_flight:
                    delta = delta or Delta(job.key, b"", 0, "broke")
                    deltas.append(delta)
                    job.generated = job.generated or delta.tokens > 0
                    if delta.ending is not None:
                        del self._jobs[job.key]
                        # Before its thread ends, so that the tenant's next job gets this slot; in
                        # the library it waits until the slot is free.
                        self._release(job)
                job, delta = self._events.get_nowait()
        return deltas

    def _ended(self, job: _Job) -> None:
        """Free the resources of a job whose thread has ended."""
        if job.cancelled:
            self._cancelling -= 1
        self._release(job)
        self._start_waiting()

    def _release(self, job: _Job) -> None:
        if self._slots is not None and job.slot is not None:
            self._slots.release(job.slot, job.tenant if job.generated else None)
            job.slot = None

    def _start_waiting(self) -> None:
        """Start waiting jobs, unless a cancelled one still holds resources that they need."""
        while self._waiting and not self._cancelling:
            job = self._waiting[0]
            if self._slots is not None:
                taken = self._slots.take(job.tenant, job.body["prompt"])
                if taken is None:
                    # A cancelled or failed job still has a slot.
                    return
                job.slot, job.body["cache_prompt"] = taken
                job.body["id_slot"] = job.slot.number
            self._waiting.popleft()
            self._running.append(job)
            threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _run(self, job: _Job) -> None:
        """Run a job in its thread, which waits in the library until the job has ended."""

        def on_chunk(chunk: dict[str, Any]) -> bool:
            """Handle a chunk; True ends the job."""
            job.callbacks += 1
            if not job.tokens:
                self._prompt_callbacks += 1
            if job.cancelled or "choices" not in chunk or "prompt_progress" in chunk:
                return job.cancelled
            delta = self._delta(job, chunk)
            self._events.put((job, delta))
            job.tokens += delta.tokens
            return delta.ending == "broke" or job.cancelled

        try:
            # After an error the job has no ending, which `step` reports as broke.
            with contextlib.suppress(RuntimeError):
                self._server.complete(job.body, on_chunk)
        finally:
            self._events.put((job, None))

    def _delta(self, job: _Job, chunk: dict[str, Any]) -> Delta:
        (choice,) = chunk["choices"]
        timings = chunk["timings"]
        total = timings["predicted_n"]
        tokens = total - job.tokens
        return Delta(
            job.key,
            choice["text"].encode(),
            tokens,
            ending(choice, total, job.body["max_tokens"]),
            scored_tokens(choice, tokens, job.logprobs, self._control),
            None if job.tokens else timings["cache_n"],
        )
