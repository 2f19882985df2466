"""OpenVINO GenAI's continuous batching, on the CPU."""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from tenuto.core.job import Sampling
from tenuto.engine.local.gguf import CONTROL, USER_DEFINED, Gguf
from tenuto.engine.local.machine import kv_budget, physical_cores
from tenuto.engine.local.runtime import (
    CannotLoad,
    Delta,
    Ending,
    Runtime,
    RuntimeOptions,
    ScoredToken,
    context_of,
    not_installed,
)
from tenuto.engine.local.runtimes.openvino import library, metadata
from tenuto.engine.local.runtimes.openvino.filler import Filler
from tenuto.engine.local.runtimes.openvino.metadata import BLOCK_TOKENS
from tenuto.engine.local.runtimes.openvino.partial_blocks import Ids, PartialBlocks
from tenuto.engine.local.runtimes.openvino.requests import Requests
from tenuto.engine.local.runtimes.openvino.scorer import PromptScores, Scorer
from tenuto.engine.local.runtimes.openvino.scoring import Scoring
from tenuto.engine.local.runtimes.openvino.scoring_model import ScoringModel, model_files
from tenuto.engine.local.runtimes.openvino.temporary import writable
from tenuto.engine.local.runtimes.openvino.tokenizer import OpenVinoTokenizer
from tenuto.engine.local.vocabulary import token_bytes

# Cached kernels and plans, one for each size of batch. The default, thousands, takes hundreds of
# MiB when sizes vary; making one again is cheap.
_CACHED_KERNELS: Final = 64
_KERNELS_VARIABLE: Final = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"

# In the error of the library's check of the likeliest token's probability.
_NOT_A_NUMBER: Final = "isnan"

_GREEDY_BELOW: Final = 1e-6

# Blocks that no completion gets, so that the scheduler always has room.
_SPARE_BLOCKS: Final = 8

# Far above the keys of jobs.
_FIRST_FILLER: Final = 2**63


@dataclass(frozen=True, slots=True)
class _PromptJob:
    ids: Ids
    max_tokens: int
    sampling: Sampling

    @property
    def is_greedy(self) -> bool:
        """Whether its completion is the likeliest token alone."""
        sampling = self.sampling
        top_p = 1.0 if sampling.top_p is None else sampling.top_p
        greedy = min(sampling.temperature, top_p) < _GREEDY_BELOW
        return greedy and self.max_tokens == 1 and not sampling.min_tokens


class OpenVinoRuntime(Runtime):
    """A model in an `openvino_genai.ContinuousBatchingPipeline`: GGUF, or OpenVINO's own format.

    Raises:
        CannotLoad: The library is not installed, or cannot read this model.
        ModelFileError: The vocabulary is not supported.
    """

    block_tokens = BLOCK_TOKENS
    # The library returns the log probability of the generated token only.
    most_logprobs = 1

    def __init__(self, options: RuntimeOptions, file: Gguf) -> None:
        # Read by oneDNN at its first use.
        os.environ.setdefault(_KERNELS_VARIABLE, str(_CACHED_KERNELS))
        try:
            import numpy as np

            ov, genai = library.load()
        except ImportError as error:
            raise not_installed(str(error.name)) from None
        self._ov, self._genai, self._np = ov, genai, np

        if feature := metadata.unreadable_feature(file):
            raise CannotLoad(
                f"OpenVINO does not read {feature}; set `runtime` to `llamacpp` or `auto`"
            )
        self._table, self._names = token_bytes(file), file.tokens
        self.longest_token: int = max(map(len, self._table))
        self.vocabulary: int = len(self._table)
        self.context: int = context_of(file.hyperparameter("context_length"), options.context)
        block = metadata.block_bytes(file)
        self.kv_blocks: int = _kv_blocks(options, self.context, block)
        self.kv_bytes: int = (self.kv_blocks + _SPARE_BLOCKS) * block
        self.context = min(self.context, self.kv_blocks * BLOCK_TOKENS)
        self._bos = file.token_id("bos")
        self._adds_bos = metadata.adds_bos(file)
        # The library requires an end token; without one, use an id outside the vocabulary.
        self._ends = metadata.end_tokens(file) or {len(self._table)}

        scheduler = genai.SchedulerConfig()
        scheduler.num_kv_blocks = self.kv_blocks + _SPARE_BLOCKS
        # The library has a single cache, and cannot keep tenants apart.
        self.needs_computed_prefixes: bool = options.prefix_cache == "shared"
        scheduler.enable_prefix_caching = self.needs_computed_prefixes
        scheduler.max_num_batched_tokens = options.batch_tokens
        # One more for the filler.
        scheduler.max_num_seqs = options.max_running + 1
        # The default would be the machine's cores, not the container's.
        self.threads: int = options.threads or physical_cores()
        # Threads bound to cores wait for other processes while other cores are idle: beside one
        # busy process, a single stream then has half its speed.
        properties = {
            "INFERENCE_NUM_THREADS": self.threads,
            "ENABLE_CPU_PINNING": False,
            # The default, except for folders that request 16 bits.
            "KV_CACHE_PRECISION": "u8",
            "CPU_RUNTIME_CACHE_CAPACITY": _CACHED_KERNELS,
        }
        try:
            with writable(Path(options.path)) as path:
                self._pipeline = genai.ContinuousBatchingPipeline(
                    str(path), scheduler, "CPU", properties
                )
                texts = [metadata.texts_of(file, kind) for kind in (CONTROL, USER_DEFINED)]
                self._tokenizer = OpenVinoTokenizer(path, *texts)
        except CannotLoad:
            raise
        except Exception as error:
            # Of any class; for example an IndexError for missing metadata.
            raise CannotLoad(f"OpenVINO cannot load this model: {_last_line(error)}") from None
        partial = PartialBlocks(scheduler.num_kv_blocks) if self.needs_computed_prefixes else None
        self._requests = Requests(
            self._pipeline,
            self._tensor,
            lambda: self._config(1),
            options.batch_tokens,
            self.vocabulary,
            partial,
        )
        self._steps = 0
        self._filler = None if self.needs_computed_prefixes else Filler(options.batch_tokens)
        self._filler_keys = itertools.count(_FIRST_FILLER)
        self._filling: Any = None
        # Jobs with log probabilities, and how many of the likeliest; for others the library returns
        # zeros.
        self._scored: dict[int, int] = {}
        self._options, self._files = options, model_files(Path(options.path))
        self._scoring = Scoring(self._load_scorer)
        # Jobs whose prompts are scored first.
        self._prompts: dict[int, _PromptJob] = {}

    def encode(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(text)
        if self._bos is not None:
            if self._adds_bos and ids[:1] != [self._bos]:
                ids.insert(0, self._bos)
            elif ids[:2] == [self._bos] * 2:
                # A folder's tokenizer adds it even to a text that spells it.
                del ids[0]
        return ids

    def encode_plain(self, text: str) -> list[int]:
        ids = self._tokenizer.encode(text, plain=True)
        # A folder's tokenizer adds it to every text.
        return ids[1:] if ids[:1] == [self._bos] else ids

    def spell(self, token: int) -> bytes:
        return self._table[token]

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
        written: int = 0,
    ) -> None:
        ids = array("i", prompt)
        if sampling.prompt_logprobs is not None:
            job = _PromptJob(ids, max_tokens, sampling)
            tenant = tenant if self._options.prefix_cache == "per_key" else ""
            self._scoring.add(key, tenant, ids, follows=job.is_greedy)
            self._prompts[key] = job
            return
        self._begin(key, ids, max_tokens, sampling)

    def _begin(self, key: int, prompt: Ids, max_tokens: int, sampling: Sampling) -> None:
        config = self._config(max_tokens)
        config.ignore_eos = bool(sampling.ignore_eos)
        config.min_new_tokens = min(sampling.min_tokens or 0, max_tokens)
        config.rng_seed = sampling.seed or 0
        # The library refuses 0 for either, and computes in single precision, where lower values
        # select the likeliest token as 0 does.
        top_p = 1.0 if sampling.top_p is None else sampling.top_p
        config.do_sample = min(sampling.temperature, top_p) >= _GREEDY_BELOW
        if config.do_sample:
            config.temperature = sampling.temperature
            config.top_p = top_p
            if sampling.top_k is not None:
                config.top_k = min(sampling.top_k, len(self._table))
        if sampling.logprobs is not None:
            config.logprobs = 1
        self._requests.add(key, prompt, config)
        if sampling.logprobs is not None:
            self._scored[key] = sampling.logprobs
        if self._filler is not None:
            self._filler.begin(key, prompt)

    def _config(self, max_tokens: int) -> Any:
        config = self._genai.GenerationConfig()
        config.max_new_tokens = max_tokens
        config.set_eos_token_id(min(self._ends))
        config.stop_token_ids = self._ends
        return config

    def _tensor(self, ids: Sequence[int]) -> Any:
        return self._ov.Tensor(self._np.array([ids], dtype=self._np.int64))

    def _fill(self) -> None:
        """Add the filler of the next step; its one token is dropped."""
        ids = self._filler.next_step(self._requests.keys()) if self._filler is not None else []
        if ids:
            key, config = next(self._filler_keys), self._config(1)
            # Without a reference to the handle, the library would cancel it.
            self._filling = self._pipeline.add_request(key, self._tensor(ids), config)

    def cancel(self, key: int) -> None:
        if self._prompts.pop(key, None):
            self._scoring.cancel(key)
            return
        self._requests.cancel(key)
        self._scored.pop(key, None)

    def holds(self, key: int) -> bool:
        return self._requests.holds(key)

    def progress(self) -> dict[str, int]:
        # The library reports steps, and nothing of single prompts.
        return {"step": self._steps} if self._requests or self._scoring.works else {}

    def step(self) -> list[Delta]:
        deltas = self._write()
        return deltas + self._score(idle=not self._requests)

    def _write(self) -> list[Delta]:
        """Take a step of the pipeline."""
        self._requests.begin_held()
        if self._pipeline.has_non_finished_requests():
            self._fill()
            try:
                self._pipeline.step()
            except RuntimeError as error:
                if _NOT_A_NUMBER not in str(error):
                    raise
                return self._break_all()
            # A step without room for any request returns at once.
            self._steps += self._pipeline.get_metrics().scheduled_requests > 0
        genai, table = self._genai, self._table
        reasons = genai.GenerationFinishReason
        endings: dict[Any, Ending | None] = {reasons.NONE: None, reasons.STOP: "end"}
        deltas = []
        for key, output in self._requests.outputs(genai.GenerationStatus.RUNNING, reasons.NONE):
            if output is None:
                deltas.append(Delta(key, b"", 0, "broke"))
                continue
            ids = output.generated_ids
            parts = [table[token] for token in ids]
            ending = endings.get(output.finish_reason, "length")
            scored = self._scored_tokens(key, output) if key in self._scored else ()
            sizes = tuple(map(len, parts)) if len(parts) > 1 else ()
            data = b"".join(parts)
            deltas.append(Delta(key, data, len(ids), ending, scored, sizes=sizes, ids=tuple(ids)))
        for delta in deltas:
            if delta.ending is not None:
                self._scored.pop(delta.key, None)
        return deltas

    def _score(self, *, idle: bool) -> list[Delta]:
        """Take a step of the prompts that are scored, and begin the completions of those done."""
        if not self._prompts:
            return []
        scores, broken = self._scoring.step(idle=idle)
        self._steps += bool(scores)
        deltas = [Delta(key, b"", 0, "broke") for key in broken]
        for key in broken:
            del self._prompts[key]
        for each in scores:
            deltas += self._prompt_deltas(each, self._prompts[each.key])
        return deltas

    def _prompt_deltas(self, scores: PromptScores, job: _PromptJob) -> Iterator[Delta]:
        key, most = scores.key, job.sampling.prompt_logprobs or 0
        ids = job.ids[scores.start : scores.start + len(scores.logprobs)]
        rows = zip(ids, scores.logprobs, scores.top, scores.values, strict=True)
        # A prompt has the names of its control tokens, too.
        tokens = tuple(replace(self._with_top(*row, most), in_text=True) for row in rows)
        if scores.start == 0:
            tokens = (replace(tokens[0], logprob=None, top=()), *tokens[1:])
        yield Delta(key, b"", 0, None, prompt=tokens)
        if not scores.ends:
            return
        del self._prompts[key]
        cached = scores.cached
        if scores.following is not None:
            token, logprob = scores.following
            ends = token in self._ends and not job.sampling.ignore_eos
            most = job.sampling.logprobs or 0
            written = self._with_top(token, logprob, token, logprob, most)
            scored = () if job.sampling.logprobs is None else (written,)
            ending: Ending = "end" if ends else "length"
            yield Delta(key, self._table[token], 1, ending, scored, cached, ids=(token,))
        elif job.max_tokens == 0:
            yield Delta(key, b"", 0, "length", cached=cached)
        else:
            try:
                self._begin(key, job.ids, job.max_tokens, job.sampling)
            except Exception:
                # A library's failure on one job must not end the others.
                yield Delta(key, b"", 0, "broke")

    def _with_top(
        self, token: int, logprob: float, top: int, value: float, most: int
    ) -> ScoredToken:
        """Return a token with the likeliest one in its place, and itself."""
        named = self._named(token, logprob)
        pairs = {self._named(top, value).data: value, named.data: logprob} if most else {}
        return replace(named, top=tuple(pairs.items()))

    def _load_scorer(self) -> Scorer:
        options = self._options
        model = ScoringModel(self._files, self.vocabulary, self.threads)
        keeps = options.prefix_cache != "off"
        return Scorer(model, self.context, options.batch_tokens, keeps=keeps)

    def _break_all(self) -> list[Delta]:
        """Cancel all completions, because the state after a failed step is unknown."""
        keys = self._requests.keys()
        self._requests.cancel_all()
        self._scored.clear()
        if self._filling is not None:
            self._filling.cancel()
        return [Delta(key, b"", 0, "broke") for key in keys]

    def _scored_tokens(self, key: int, output: Any) -> tuple[ScoredToken, ...]:
        most = self._scored[key]
        pairs = zip(output.generated_ids, output.generated_log_probs, strict=True)
        return tuple(
            self._with_top(token, logprob, token, logprob, most) for token, logprob in pairs
        )

    def _named(self, token: int, logprob: float) -> ScoredToken:
        data = self._table[token]
        if data:
            return ScoredToken(data, logprob)
        name = self._names[token].encode("utf-8", "surrogateescape")
        return ScoredToken(name, logprob, in_text=False)


def _kv_blocks(options: RuntimeOptions, context: int, block: int) -> int:
    """Return the blocks for completions; `block` is the bytes of one."""
    wanted = options.max_running * -(-context // BLOCK_TOKENS)
    blocks = min(kv_budget(options.kv_cache_mib) // block - _SPARE_BLOCKS, wanted)
    if blocks < 1:
        least = (_SPARE_BLOCKS + 1) * block
        raise CannotLoad(f"kv_cache_mib is too small: {BLOCK_TOKENS} tokens take {least} bytes")
    return blocks


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
