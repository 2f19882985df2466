"""The worker's loop: take frames in, admit jobs, run one step, send the text it wrote.

One thread does all this in turns, because a runtime's step holds Python's lock: a second thread
would only wait for it. Long prompts alone are tokenised in another, whose work needs no lock.
"""

from __future__ import annotations

import select
from contextlib import closing
from typing import Final

from tenuto.engine.local import frames
from tenuto.engine.local.admission import Admission
from tenuto.engine.local.intake import Intake, Prepared
from tenuto.engine.local.job_output import JobOutput, WrittenPiece
from tenuto.engine.local.model_loading import LoadedModel
from tenuto.engine.local.parent_link import ParentLink
from tenuto.engine.local.prefixes import Prefixes
from tenuto.engine.local.runtime import Delta
from tenuto.engine.local.tokenising import Tokenising

# Reads between two steps at most, so that a flood of requests does not delay running jobs.
_MOST_READS: Final = 16


class StepLoop:
    """Serve one parent with one loaded model, within the limits of `load`."""

    def __init__(self, link: ParentLink, load: frames.Load, model: LoadedModel) -> None:
        self._link = link
        self._runtime = runtime = model.runtime
        self._admission: Admission[Prepared] = Admission(
            runtime.kv_blocks, load.options.max_running, load.max_waiting
        )
        self._intake = Intake(link, self._admission, load, model)
        self._tokenising = self._intake.tokenising
        self._prefixes = Prefixes(runtime.block_tokens)
        # Admitted jobs that wait until another job has computed the prefix that they share.
        self._held: dict[int, Prepared] = {}
        self._outputs: dict[int, JobOutput] = {}
        # Cancelled jobs keep their reservation until the runtime has freed their memory.
        self._leaving: list[int] = []
        self._counters = frames.Counters(0, 0, 0)

    def run(self) -> None:
        """Serve until the parent is gone.

        Raises:
            ParentGone: The parent is gone.
        """
        with closing(self._tokenising):
            while True:
                self._take()
                self._admit()
                self._report()
                self._step()
                self._report()

    def _take(self) -> None:
        """Process pending input; block only when idle."""
        sources: list[ParentLink | Tokenising] = [self._link, self._tokenising]
        wait = 0 if self._outputs or self._leaving or self._admission.waiting else None
        for _ in range(_MOST_READS):
            ready, _, _ = select.select(sources, [], [], wait)
            wait = 0
            if self._tokenising in ready:
                for job, tokens in self._tokenising.take():
                    self._intake.queue(job, tokens)
                    self._admit()
            if self._link in ready:
                for frame in self._link.receive():
                    self._handle(frame)
            if not ready:
                return

    def _handle(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Submit():
                self._intake.submit(frame)
                # At once, because the job counts as waiting until it is admitted.
                self._admit()
            case frames.Cancel():
                self._cancel(frame.key)
            case frames.Ping():
                progress = self._runtime.progress()
                if len(self._tokenising):
                    progress["tokenising"] = self._tokenising.done
                self._link.send(frames.Pong(progress))

    def _cancel(self, key: int) -> None:
        if self._tokenising.cancel(key) or self._admission.withdraw(key):
            return
        if key in self._held:
            del self._held[key]
            self._admission.release(key)
        elif key in self._outputs:
            del self._outputs[key]
            self._runtime.cancel(key)
            self._leaving.append(key)
        self._begin_all(self._prefixes.drop(key))

    def _admit(self) -> None:
        for key, job in self._admission.admit():
            # A runtime that scores prompts shares their prefixes in its own way.
            shares = self._runtime.needs_computed_prefixes and job.sampling.prompt_logprobs is None
            if shares and not self._prefixes.begins(key, job.tokens):
                self._held[key] = job
            else:
                self._begin(key, job)

    def _begin_all(self, keys: list[int]) -> None:
        for key in keys:
            self._begin(key, self._held.pop(key))

    def _begin(self, key: int, job: Prepared) -> None:
        self._link.send(frames.Began(key))
        try:
            about = (job.tokens, job.max_tokens, job.sampling, job.tenant, job.written)
            self._runtime.begin(key, *about)
        except Exception as error:
            # A library's failure on one job must not end the others.
            self._admission.release(key)
            self._link.send(frames.Broke(key, f"{type(error).__name__}: {error}"))
            self._begin_all(self._prefixes.drop(key))
        else:
            self._outputs[key] = JobOutput(key, job)
            if job.lead:
                self._link.send(frames.Wrote([(key, job.lead, 0, None)]))

    def _step(self) -> None:
        if not (self._outputs or self._leaving):
            return
        deltas = self._runtime.step()
        for key in self._leaving:
            if not self._runtime.holds(key):
                self._admission.release(key)
        self._leaving = list(filter(self._runtime.holds, self._leaving))
        pieces: list[WrittenPiece] = []
        ids: list[tuple[int, list[int]]] = []
        for delta in deltas:
            if delta.ids and (sampled := self._outputs[delta.key].ids(delta)):
                ids.append((delta.key, sampled))
            pieces += self._pieces(delta)
        if pieces:
            self._link.send(frames.Wrote(pieces, ids))
        for delta in deltas:
            self._begin_all(self._prefixes.computed(delta.key))

    def _pieces(self, delta: Delta) -> list[WrittenPiece]:
        """Return the text of a delta. Send what is known about its tokens."""
        output = self._outputs[delta.key]
        if delta.cached is not None:
            self._link.send(frames.Cached(delta.key, delta.cached))
        for frame in output.prompt(delta):
            self._link.send(frame)
        if delta.ending is not None:
            del self._outputs[delta.key]
            self._admission.release(delta.key)
            if delta.ending == "broke":
                self._link.send(frames.Broke(delta.key, "the runtime dropped it"))
                return []
        elif not delta.tokens:
            return []  # A part of the prompt.
        scored, pieces = output.completion(delta)
        if scored is not None:
            self._link.send(scored)
        return pieces

    def _report(self) -> None:
        """Send the counters, if they changed."""
        admission = self._admission
        waiting = admission.waiting + len(self._tokenising)
        counters = frames.Counters(
            admission.running, waiting, admission.reserved, admission.waiting_tokens
        )
        if counters != self._counters:
            self._counters = counters
            self._link.send(counters)
