"""llama.cpp's server core, in this process, through xllamacpp.

It batches in a thread of its own. Each completion has a Python thread that waits in the library
and puts what it is called back with on one queue, which `step` reads.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from tenuto.core.job import Sampling
from tenuto.engine.local import gguf
from tenuto.engine.local.machine import kv_budget, physical_cores
from tenuto.engine.local.runtime import (
    CannotLoad,
    Delta,
    Ending,
    RuntimeOptions,
    ScoredToken,
    TextRefused,
    context_of,
    not_installed,
)
from tenuto.engine.local.runtimes.llamacpp.metadata import (
    cell_bytes,
    control_tokens,
    longest_token,
)
from tenuto.engine.local.runtimes.llamacpp.server import LlamaServer
from tenuto.engine.local.runtimes.llamacpp.slots import Slot, Slots

# The library counts the cells of its cache, one a token, in steps of this, and numbers at most
# so many sequences.
_CELL_STEP: Final = 256
_MOST_SLOTS: Final = 256

# Tokens in a block of a pool. The library has no such blocks: it is fine enough to waste little.
_BLOCK_TOKENS: Final = 32

# What a pre-tokeniser does not break is within one of these. Each of its letters has 512 bytes of
# the stack: see `server`.
_RUN: Final = re.compile(r"\s++|\d++|[^\s\d]++")
_LONGEST_RUN: Final = 500_000

# How long a step waits for news: a cancellation that comes meanwhile waits as long.
_PATIENCE_S: Final = 0.05

# OpenVINO's order. All others are off: penalties, min-p, typical, XTC, DRY.
_SAMPLERS: Final = ("temperature", "top_p", "top_k")

# Each costs a sort of the vocabulary for every token; the API asks for no more.
_MOST_LOGPROBS: Final = 20

# The library's seeds have 32 bits, and this one stands for a random one.
_ANY_SEED: Final = 2**32 - 1


@dataclass(slots=True, eq=False)
class _Job:
    """A completion. Its thread reads `cancelled`, and writes the two numbers.

    Attributes:
        heard: How often the library called back.
        written: How many tokens it has.
    """

    key: int
    body: dict[str, Any]
    logprobs: int | None
    tenant: str = ""
    slot: Slot | None = None
    wrote: bool = False
    cancelled: bool = False
    heard: int = 0
    written: int = 0


class LlamaCppRuntime:
    """A GGUF model in an `xllamacpp.Server`.

    Where memory allows, each of its slots has cells for a whole context, and a slot is a block.
    With a model of long context it does not: there all slots share one pool of cells. Attention
    then also reads past the cells of others, but few jobs need a whole context, and many run.

    Args:
        options: The model's path, and its limits.
        file: What the model says of itself.

    Raises:
        CannotLoad: The library is not installed, or it cannot read this model.
    """

    context: int
    kv_blocks: int
    kv_bytes: int
    threads: int
    block_tokens: int
    longest_token: int
    most_logprobs: int = _MOST_LOGPROBS
    # A slot knows only what it computed itself.
    shares_prefixes: bool = False

    def __init__(self, options: RuntimeOptions, file: gguf.Gguf) -> None:
        try:
            import xllamacpp as untyped  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise not_installed(str(error.name)) from None
        xllamacpp: Any = untyped
        self.longest_token = longest_token(file)
        self._bos = file.token_id("bos")
        self._control = control_tokens(file)

        params = xllamacpp.CommonParams()
        params.model.path = options.path
        params.verbosity = 1  # errors only
        # Its threads wait for each other in a busy loop: one without a core holds up all.
        cores = physical_cores()
        self.threads = options.threads or (cores - 1 if cores > 2 else cores)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = self.threads
        # Between two batches of a long prompt, others write, and it can be cancelled.
        params.n_batch = options.batch_tokens
        params.cache_ram_mib = 0  # a second cache, outside the budget
        params.chat_template = "chatml"  # never used, but a model's own might not parse
        context = self._allot(params, file, options)
        self._caches = options.prefix_cache != "off"
        # Without them, the library chooses by what prompts have in common, whoever asks.
        self._slots = Slots(params.n_parallel) if options.prefix_cache == "per_key" else None
        self._server = LlamaServer(xllamacpp, params)
        # What it grants may be less than what it was asked for.
        granted: int = self._server.ask("/props")["default_generation_settings"]["n_ctx"]
        self.context = min(context, granted)

        self._jobs: dict[int, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._leaving = 0
        # Handed to the library, and not done: the cancelled ones too.
        self._at_work: list[_Job] = []
        # What the library told of prompts; two at the same moment may count as one.
        self._prompt_news = 0
        # What the jobs' threads have to tell: a delta, or None when the thread is done.
        self._news: SimpleQueue[tuple[_Job, Delta | None]] = SimpleQueue()

    def _allot(self, params: Any, file: gguf.Gguf, options: RuntimeOptions) -> int:
        """Decides on slots, blocks and, which it returns, the context."""
        longest = context_of(file.hyperparameter("context_length"), options.context)
        cell = cell_bytes(file)
        cells = kv_budget(options.kv_cache_mib) // cell // _CELL_STEP * _CELL_STEP
        if cells == 0:
            raise CannotLoad(
                f"kv_cache_mib is too small: {_CELL_STEP} tokens take {_CELL_STEP * cell} bytes"
            )
        slots = min(options.max_running, _MOST_SLOTS)
        slot_cells = -(-longest // _CELL_STEP) * _CELL_STEP
        pooled = cells < slots * slot_cells
        if pooled:
            # Where more jobs are asked for than there can be slots, the blocks are as few as those.
            most = slots if options.max_running > slots else cells
            self.block_tokens = max(_BLOCK_TOKENS, -(-cells // most))
            self.kv_blocks = cells // self.block_tokens
        else:
            cells = slots * slot_cells
            self.block_tokens, self.kv_blocks = longest, slots
        self.kv_bytes = cells * cell
        params.n_ctx, params.n_parallel, params.kv_unified = cells, slots, pooled
        return min(longest, self.kv_blocks * self.block_tokens)

    def encode(self, text: str) -> list[int]:
        """See `Runtime.encode`."""
        ids = self._tokenise(text, special=True)
        # The library adds the first token even to a text that spells it out.
        return ids[1:] if ids[:2] == [self._bos] * 2 else ids

    def encode_plain(self, text: str) -> list[int]:
        """See `Runtime.encode_plain`."""
        return self._tokenise(text, special=False)

    def _tokenise(self, text: str, *, special: bool) -> list[int]:
        _check_runs(text)
        asked = {"content": text, "add_special": special, "parse_special": special}
        ids: list[int] = self._server.ask("/tokenize", asked)["tokens"]
        return ids

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
    ) -> None:
        """See `Runtime.begin`."""
        body = {
            "prompt": list(prompt),
            "max_tokens": max_tokens,
            "seed": (sampling.seed or 0) % _ANY_SEED,
            "samplers": _SAMPLERS,
            "temperature": sampling.temperature,
            "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
            "top_k": sampling.top_k or 0,
            "stream": True,
            "cache_prompt": self._caches,
            "timings_per_token": True,  # they count the tokens
            "return_progress": True,  # calls back between two batches of a prompt too
        }
        if sampling.logprobs is not None:
            body["logprobs"] = max(1, sampling.logprobs)  # 0 turns them off
        job = self._jobs[key] = _Job(key, body, sampling.logprobs, tenant)
        self._waiting.append(job)
        self._start_waiting()

    def cancel(self, key: int) -> None:
        """See `Runtime.cancel`. A prompt is given up at the end of its batch."""
        job = self._jobs.pop(key)
        if job in self._waiting:
            self._waiting.remove(job)
        else:
            job.cancelled = True
            self._leaving += 1

    def progress(self) -> dict[str, int]:
        """See `Runtime.progress`."""
        # A batch has a token of each completion, but prompts are computed one after another.
        progress = {str(job.key): job.heard for job in self._at_work if job.written}
        if len(progress) < len(self._at_work):
            progress["prompts"] = self._prompt_news
        return progress

    def step(self) -> list[Delta]:
        """See `Runtime.step`. Returns none when there is no news for a while."""
        deltas = []
        with contextlib.suppress(Empty):
            job, delta = self._news.get(timeout=_PATIENCE_S)
            while True:
                running = self._jobs.get(job.key) is job
                if delta is None:
                    self._at_work.remove(job)
                    self._ended(job)
                if running:
                    delta = delta or Delta(job.key, b"", 0, "broke")
                    deltas.append(delta)
                    job.wrote = job.wrote or delta.tokens > 0
                    if delta.ending is not None:
                        del self._jobs[job.key]
                        # Before its thread ends, so that the tenant's next job gets this slot: the
                        # library lets it wait until the slot is free.
                        self._release(job)
                job, delta = self._news.get_nowait()
        return deltas

    def _ended(self, job: _Job) -> None:
        """Takes back what a job had whose thread is done."""
        if job.cancelled:
            self._leaving -= 1
        self._release(job)
        self._start_waiting()

    def _release(self, job: _Job) -> None:
        if self._slots is not None and job.slot is not None:
            self._slots.release(job.slot, job.tenant if job.wrote else None)
            job.slot = None

    def _start_waiting(self) -> None:
        """Hands jobs over, unless a cancelled one still holds what they were promised."""
        while self._waiting and not self._leaving:
            job = self._waiting[0]
            if self._slots is not None:
                taken = self._slots.take(job.tenant, job.body["prompt"])
                if taken is None:
                    # A job that was cancelled, or broke, still has one.
                    return
                job.slot, job.body["cache_prompt"] = taken
                job.body["id_slot"] = job.slot.number
            self._waiting.popleft()
            self._at_work.append(job)
            threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _run(self, job: _Job) -> None:
        """A job's thread: waits in the library until the job has ended."""

        def hear(chunk: dict[str, Any]) -> bool:
            """Takes the next piece; True ends the job."""
            job.heard += 1
            if not job.written:
                self._prompt_news += 1
            if not job.cancelled and "choices" in chunk and "prompt_progress" not in chunk:
                (choice,) = chunk["choices"]
                timings = chunk["timings"]
                so_far = timings["predicted_n"]
                ending = _ending(choice["finish_reason"], so_far, job.body["max_tokens"])
                if _is_not_a_number(choice):
                    ending = "broke"
                data = choice["text"].encode()
                tokens = so_far - job.written
                told = () if job.logprobs is None else self._written(choice, tokens, job.logprobs)
                cached = None if job.written else timings["cache_n"]
                self._news.put((job, Delta(job.key, data, tokens, ending, told, cached)))
                job.written = so_far
                if ending == "broke":
                    return True
            return job.cancelled

        try:
            # An error counts as what it leads to: the thread is done, the job has no ending.
            with contextlib.suppress(RuntimeError):
                self._server.complete(job.body, hear)
        finally:
            self._news.put((job, None))

    def _written(self, choice: dict[str, Any], tokens: int, most: int) -> tuple[ScoredToken, ...]:
        """The tokens of a piece of text, with `most` of the likeliest in the place of each.

        A character that took several tokens comes with the log probability of the last of them
        alone, so it counts as one token whose log probability is not known.
        """
        data = choice["text"].encode()
        if not data:
            return ()
        content = (choice["logprobs"] or {}).get("content", ())
        if tokens != 1 or len(content) != 1:
            return (ScoredToken(data, None),)
        (token,) = content
        likeliest = token["top_logprobs"][:most]
        if most and all(other["id"] != token["id"] for other in likeliest):
            likeliest.append(token)
        top = tuple((self._spelling(other), other["logprob"]) for other in likeliest)
        return (ScoredToken(data, token["logprob"], top),)

    def _spelling(self, token: dict[str, Any]) -> bytes:
        return bytes(token["bytes"]) or self._control.get(token["id"], b"")


def _check_runs(text: str) -> None:
    """Refuse what would overflow the stack of the library's thread, and end the process."""
    if len(text) <= _LONGEST_RUN:
        return
    if any(run.end() - run.start() > _LONGEST_RUN for run in _RUN.finditer(text)):
        raise TextRefused(
            f"prompt: more than {_LONGEST_RUN:,} characters follow each other without a break, "
            "which the runtime llamacpp cannot tokenise. Break them with spaces or newlines."
        )


def _is_not_a_number(choice: dict[str, Any]) -> bool:
    """Whether no token has a probability, not even the one that was written."""
    content = (choice.get("logprobs") or {}).get("content") or ()
    return any(
        token["logprob"] is None
        and all(other["logprob"] is None for other in token["top_logprobs"])
        for token in content
    )


def _ending(reason: str | None, tokens: int, max_tokens: int) -> Ending | None:
    if reason is None:
        return None
    if reason == "stop":
        return "end"
    # With fewer tokens it ran into the end of its context, which admission makes impossible.
    return "length" if tokens >= max_tokens else "broke"
