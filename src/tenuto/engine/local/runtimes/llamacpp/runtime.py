"""A loop of continuous batching over llama.cpp's C API."""

from __future__ import annotations

from array import array
from collections.abc import Sequence as Ids

from tenuto.core.job import Sampling
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.runtime import Delta, Runtime, RuntimeOptions
from tenuto.engine.local.runtimes.llamacpp import capi
from tenuto.engine.local.runtimes.llamacpp.batch import Context, DecodeError
from tenuto.engine.local.runtimes.llamacpp.job import Job
from tenuto.engine.local.runtimes.llamacpp.model import Model, longest_token
from tenuto.engine.local.runtimes.llamacpp.output import Output
from tenuto.engine.local.runtimes.llamacpp.sampling import Sampler
from tenuto.engine.local.runtimes.llamacpp.schedule import MOST_REPORTED, Schedule
from tenuto.engine.local.runtimes.llamacpp.scores import Scores
from tenuto.engine.local.runtimes.llamacpp.sequence import TOKEN_BYTES, Sequence
from tenuto.engine.local.runtimes.llamacpp.sequences import Sequences
from tenuto.engine.local.runtimes.llamacpp.sizes import sizes, usual_threads


class LlamaCppRuntime(Runtime):
    """A GGUF model in a context of llama.cpp.

    Raises:
        CannotLoad: The library is missing or unknown, or cannot read this model.
    """

    most_logprobs = 20  # the API's maximum
    needs_computed_prefixes = False

    def __init__(self, options: RuntimeOptions, file: Gguf) -> None:
        self._library = library = capi.library()
        self._model = model = Model(library, options.path, file)
        self.longest_token: int = longest_token(file)
        self.vocabulary: int = model.size
        self.threads: int = options.threads or usual_threads(file)
        size = sizes(library, model.pointer, options, file)
        self.block_tokens: int = size.block_tokens
        self.kv_blocks: int = size.blocks
        self.kv_bytes: int = size.size_bytes
        self.context: int = size.context
        # A token of each running job, and parts of prompts.
        batch = min(size.cells, options.batch_tokens + size.running)
        abilities = size.abilities
        self._context = context = Context(
            library,
            model.pointer,
            size.cells,
            abilities.count,
            batch,
            self.threads,
            streams=abilities.stream > 0,
        )
        self._sequences = Sequences(library, context, abilities)
        self._per_key: bool = options.prefix_cache == "per_key"
        self._sampler = Sampler(library, context.pointer, model.size, self.threads)
        self._output = Output(model, self._sampler)
        self._jobs = Schedule(self._sequences, abilities, context.rows)
        self._steps = 0

    def encode(self, text: str) -> list[int]:
        return self._model.encode(text, special=True)

    def encode_plain(self, text: str) -> list[int]:
        return self._model.encode(text, special=False)

    def spell(self, token: int) -> bytes:
        return self._model[token]

    def begin(
        self,
        key: int,
        prompt: Ids[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
        written: int = 0,
    ) -> None:
        """See `Runtime.begin`.

        Raises:
            ValueError: A token is not in the vocabulary.
        """
        if not 0 <= min(prompt) <= max(prompt) < self._model.size:
            raise ValueError("a token is not in the vocabulary")
        ids = bytearray(array("i", prompt).tobytes())
        most = sampling.prompt_logprobs
        scores = None if most is None else Scores(most)
        sequence = Sequence(tenant if self._per_key else "", ids, scores=scores)
        ignores_end = bool(sampling.ignore_eos)
        least = 0 if ignores_end else min(sampling.min_tokens or 0, max_tokens)
        chain = self._sampler.chain(sampling, self._model.all_ends() if least else ())
        self._jobs.add(
            Job(
                key,
                sequence,
                chain,
                max_tokens,
                sampling,
                len(prompt),
                written,
                least,
                ignores_end,
            )
        )

    def cancel(self, key: int) -> None:
        self._end(key)

    def progress(self) -> dict[str, int]:
        # Each step computes tokens of running jobs.
        return {"step": self._steps} if len(self._jobs) else {}

    def step(self) -> list[Delta]:
        deltas: list[Delta] = []
        try:
            self._context.empty()
            for parts in self._jobs.batches(self._context.room):
                deltas += self._take(parts)
        except DecodeError:
            deltas += self._break_all()
        return deltas

    def _take(self, parts: list[tuple[Job, int]]) -> list[Delta]:
        """Compute a batch, and sample after it.

        Raises:
            DecodeError: The library failed.
        """
        work = self._compute(parts)
        if len(work) == 1 and work[0][0].drafts.size:
            ((job, places),) = work
            return [self._followed(job, places)]
        deltas = self._report_prompts(work)
        rows: list[tuple[Job, range]] = []
        for job, places in work:
            if job.sequence.is_computed and job.left:
                rows.append((job, places[-1:]))
            elif job.sequence.is_computed:
                deltas.append(self._output.without_tokens(job))
                self._end(job.key)
        tokens = self._sampler.sample([(job.chain, row[0]) for job, row in rows])
        for (job, row), token in zip(rows, tokens, strict=True):
            deltas.append(self._write(job, row, [token]))
        return deltas

    def _report_prompts(self, work: list[tuple[Job, range]]) -> list[Delta]:
        """Score the tokens of prompts, and return some of those that are known."""
        for job, places in work:
            if job.is_scoring:
                self._output.score_prompt(job, places)
        # The rest of a prompt precedes its first token.
        mosts = ((job, job.prompt if job.sequence.is_computed else MOST_REPORTED)
                 for job in self._jobs.scored() if job.unreported)  # fmt: skip
        reported = [self._output.report_prompt(job, most) for job, most in mosts]
        self._steps += bool(reported and not work)
        return reported

    def _followed(self, job: Job, places: range) -> Delta:
        """Sample after a draft, and remove what is wrong of it."""
        sequence, size = job.sequence, job.drafts.size
        kept = sequence.length - size
        draft = array("i", bytes(sequence.ids[kept * TOKEN_BYTES :]))
        tokens = self._sampler.follow(job.chain, places, draft)
        accepted = len(tokens) - 1
        job.drafts.accepted(accepted)
        job.drafts.size = 0
        self._sequences.cut(sequence, kept + accepted)
        del sequence.ids[kept * TOKEN_BYTES :]
        return self._write(job, places, tokens)

    def _compute(self, parts: list[tuple[Job, int]]) -> list[tuple[Job, range]]:
        """Compute a batch. Return its jobs, each with the places of its logits."""
        if not parts:
            return []
        context = self._context
        context.empty()
        work = [(job, context.add(job.sequence, count, job.rows(count))) for job, count in parts]
        while not context.decode():
            if not self._sequences.evict():
                raise DecodeError("the cache is full")
        self._steps += 1
        for job, count in parts:
            job.sequence.computed += count
        return work

    def _write(self, job: Job, places: range, tokens: list[int | None]) -> Delta:
        if job.cached is not None:
            self._jobs.computed(job)
        delta = self._output.write(job, places, tokens)
        if job.min_tokens:
            job.min_tokens -= delta.tokens
            if not job.min_tokens:
                self._sampler.free(job.chain)
                job.chain = self._sampler.chain(job.sampling)
        if delta.ending is not None:
            self._end(job.key)
        return delta

    def _end(self, key: int) -> None:
        job = self._jobs.pop(key)
        self._sampler.free(job.chain)
        self._sequences.close(job.sequence)

    def _break_all(self) -> list[Delta]:
        """End all jobs and empty the cache, because the state after a failure is unknown."""
        keys = self._jobs.keys()
        for key in keys:
            self._end(key)
        while self._sequences.evict():
            pass
        self._library.memory_clear(self._context.memory, False)
        return [Delta(key, b"", 0, "broke") for key in keys]
