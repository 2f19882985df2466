"""The parent's side: hands jobs out to the worker, takes pieces in."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from typing import Final

from tenuto.core.job import Finish, Job, Piece, TokenLogprob
from tenuto.core.long_text import Rope, Text
from tenuto.core.prompt import Prompt
from tenuto.core.refusal import (
    ModelError,
    Refusal,
    failed,
    invalid,
    overloaded,
    too_long,
    unsupported,
)
from tenuto.engine.base import Capabilities, Health
from tenuto.engine.local import frames, ir, model_file
from tenuto.engine.local.built_in import BUILT_IN, built_in_model
from tenuto.engine.local.gguf import ModelFileError
from tenuto.engine.local.long_frames import with_texts
from tenuto.engine.local.mailbox import Mailbox
from tenuto.engine.local.process import WorkerProcess
from tenuto.engine.local.runtimes import runtimes
from tenuto.engine.local.supervisor import Process, Supervisor
from tenuto.engine.local.suspects import Present, Suspects, Verdict
from tenuto.prompt.long_render import chat_steps
from tenuto.prompt.render import Chat
from tenuto.settings import LocalSettings
from tenuto.slices import Slices

_log = logging.getLogger("tenuto.engine")

# A chat of so many times the context is not rendered, whatever its template leaves out of it.
_MOST_LEFT_OUT: Final = 8

_BROKE: Final = (
    "The engine stopped unexpectedly while it worked on this request. It is starting again; "
    "please send the request once more."
)


_KILLS: Final = (
    "The engine stopped unexpectedly twice while it worked on this request, so it does not try it "
    "again. Change the prompt, or ask the operator to look into the server's log."
)


class _Work(Enum):
    """What a worker does with a job that does not only wait."""

    READING = auto()
    RUNNING = auto()


@dataclass(slots=True, eq=False)
class _Running:
    """A job that was given to a worker.

    Attributes:
        job: It.
        on_trial: Whether it holds the lock of those that may have killed a worker.
        trial_tokens: It gives that back when it has written more tokens than these.
        at_work: What the worker does with it, None while it waits.
        tokens: How many it has written.
        mailbox: Where its pieces wait.
    """

    job: Job
    on_trial: bool
    trial_tokens: int
    at_work: _Work | None = None
    tokens: int = 0
    mailbox: Mailbox = field(default_factory=Mailbox)


_SHARED: Final = (
    "shared; a caller can tell from times and counts what others asked, unless "
    "prefix_cache is per_key or off"
)


class LocalEngine:
    """Open-weight models in a process of their own.

    The model runs apart because its step keeps Python's lock, and because a damaged file or a
    runtime's bug can end a process.

    Args:
        settings: The model and its limits.

    Raises:
        ModelError: The file is missing, or no sound GGUF file.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self._settings = settings
        self._path = Path(settings.model) if settings.model else built_in_model()
        self._name = _check(self._path) if settings.model else BUILT_IN
        self._supervisor = Supervisor(
            self._load(), self._name, settings.step_timeout_s, self, WorkerProcess.spawn
        )
        self._chat = False
        self._longest_token = 1
        self._jobs: dict[int, _Running] = {}
        self._keys = itertools.count()
        # Without it, a tenant's name could be found from a guessed key.
        self._salt = secrets.token_bytes(16)
        self._most_logprobs = 0
        self._slices = Slices()
        self._suspects = Suspects(time.monotonic)
        # Held by the one job that is on trial.
        self._trial = asyncio.Lock()
        self._capabilities = Capabilities(self._name, extensions=("seed", "logprobs"))
        self._health = Health(False, "The model is loading.")

    async def start(self) -> None:
        """See `Engine.start`."""
        self._supervisor.start()

    async def ready(self) -> str:
        """See `Engine.ready`."""
        await self._supervisor.worker()
        return self._name

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        on_trial = await self._wait_for_trial(job)
        running = _Running(job, on_trial, self._suspects.trial_tokens(job) if on_trial else 0)
        try:
            key = next(self._keys)
            while True:
                worker = await self._wait_for_worker()
                self._check_logprobs(job)
                # Without turns there is nothing for a template: the text itself is to be continued.
                chats = self._chat and job.prompt.has_turns
                self._check_length(job.prompt, chats=chats)
                frame = await self._slices.run(self._submit(key, job, chats), job.prompt.size)
                # While a long prompt was written as a frame, the worker may have been replaced.
                if worker is await self._wait_for_worker():
                    break
            # From here to the sending no `await`, for the same reason.
            self._jobs[key] = running
            worker.send(frame)
        except BaseException:
            self._end_trial(running)
            raise
        finished = False
        try:
            while not finished:
                piece = await running.mailbox.get()
                finished = piece.finish is not None
                yield piece
        finally:
            # Whoever closes the generator, or is cancelled while it waits, gives the slot back.
            del self._jobs[key]
            self._end_trial(running)
            if finished:
                self._suspects.clear(job)
            else:
                worker.send(frames.Cancel(key))

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine.capabilities`."""
        return self._capabilities

    def health(self) -> Health:
        """See `Engine.health`. The counters are at most one step old."""
        return replace(self._health, restarts=self._supervisor.restarts)

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        await self._supervisor.aclose(failed("The engine is shutting down."))

    def _load(self) -> frames.Load:
        settings = self._settings
        return frames.Load(
            # Not resolved: a link's own name may say what the file's does not.
            str(self._path.absolute()),
            settings.max_running,
            settings.max_waiting,
            settings.kv_cache_mib,
            settings.threads,
            settings.runtime,
            settings.format,
            settings.context,
            settings.batch_tokens,
            settings.special_tokens_in_raw,
            settings.prefix_cache,
        )

    def _submit(
        self, key: int, job: Job, chats: bool
    ) -> Generator[None, None, frames.Submit | frames.Encoded]:
        """Make the frame of a job, in steps; one with a long prompt is encoded."""
        # The runtime's own default seed is 0: all would get the same "random" text.
        seed = secrets.randbits(64) if job.sampling.seed is None else job.sampling.seed
        messages: list[tuple[str, Text]] | None = None
        text = job.prompt.whole()
        if chats:
            messages, text = _messages((yield from chat_steps(job.prompt)))
        frame = frames.Submit(
            key,
            "",
            job.max_tokens,
            replace(job.sampling, seed=seed),
            None,
            self._tenant(job.caller.key),
        )
        return (yield from with_texts(frame, text, messages))

    async def _wait_for_trial(self, job: Job) -> bool:
        """Wait until a job may begin. Returns whether it is on trial, and holds the lock for it."""
        while True:
            verdict = self._suspects.verdict(job)
            if verdict is Verdict.REFUSED:
                raise failed(_KILLS, retryable=False)
            if verdict is Verdict.FREE:
                return False
            try:
                async with asyncio.timeout(self._settings.load_wait_s):
                    await self._trial.acquire()
            except TimeoutError:
                raise overloaded(
                    "The engine stopped while it worked on this request and others, which are now "
                    "tried one after another. Try again in a moment."
                ) from None
            if self._suspects.verdict(job) is Verdict.TRIAL:
                return True
            self._trial.release()

    def _end_trial(self, running: _Running) -> None:
        if running.on_trial:
            running.on_trial = False
            self._trial.release()

    def _tenant(self, key: str | None) -> str:
        if not key:
            return ""
        data = key.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(data, key=self._salt, digest_size=16).hexdigest()

    def _check_logprobs(self, job: Job) -> None:
        if (job.sampling.logprobs or 0) > self._most_logprobs:
            raise unsupported(
                "logprobs",
                f"Input should be less than or equal to {self._most_logprobs} with this model. "
                "Its runtime knows the log probabilities of the tokens that it writes, and not of "
                f"others; {_scoring_runtimes()} does.",
            )

    def _check_length(self, prompt: Prompt, *, chats: bool) -> None:
        """Refuse a prompt that is hopeless, however it is tokenised, before it is rendered."""
        limit = self._capabilities.context - 1
        # A template may leave text out: thoughts of earlier turns, white space around a turn.
        size = prompt.spoken_size() // _MOST_LEFT_OUT if chats else prompt.size
        least = size // self._longest_token
        if least > limit:
            raise too_long(least, limit)

    async def _wait_for_worker(self) -> Process:
        if not self._supervisor.started:
            raise failed("The engine has not been started.")
        try:
            async with asyncio.timeout(self._settings.load_wait_s):
                return await self._supervisor.worker()
        except TimeoutError:
            raise overloaded("The model is still loading. Try again in a moment.") from None

    def lost(self, detail: str) -> None:
        """See `Owner.lost`."""
        self._health = Health(False, detail)
        # A crash while a prompt is read is that prompt's alone. What only waited is no suspect.
        reading = [each for each in self._jobs.values() if each.at_work is _Work.READING]
        present = reading or [each for each in self._jobs.values() if each.at_work]
        self._suspects.died(
            [Present(each.job, each.tokens, each.on_trial) for each in present],
            certain=len(reading) == 1,
        )
        for each in self._jobs.values():
            alone = present == [each]
            guilty = alone or self._suspects.verdict(each.job) is Verdict.REFUSED
            each.mailbox.fail(failed(_BROKE, retryable=False if guilty else None))
            each.at_work = None

    def ended(self, why: Refusal) -> None:
        """See `Owner.ended`."""
        # The reason names a path on this machine; the status is for everyone.
        broken = isinstance(why, ModelError)
        detail = "The model cannot be loaded; the log says why." if broken else str(why)
        self._health = replace(self._health, ready=False, detail=detail)
        if broken:
            _log.error("%s", why)
        for job in self._jobs.values():
            job.mailbox.fail(why)

    def loaded(self, frame: frames.Loaded) -> None:
        """See `Owner.loaded`."""
        self._health = replace(self._health, ready=True, detail="Ready.")
        self._capabilities = replace(
            self._capabilities,
            context=frame.context,
            longest_prompt=frame.context * frame.longest_token,
            kv_blocks=frame.kv_blocks,
        )
        self._chat, self._longest_token = frame.chat, frame.longest_token
        self._most_logprobs = frame.most_logprobs
        self._say_loaded(frame)

    def received(self, frame: frames.Frame) -> None:
        """See `Owner.received`."""
        match frame:
            case frames.Wrote():
                for key, text, tokens, finish in frame.pieces:
                    # A job that was cancelled a moment ago may still be in the step's result.
                    if job := self._jobs.get(key):
                        job.tokens += tokens
                        if job.tokens > job.trial_tokens:
                            self._end_trial(job)
                        job.mailbox.put(text, tokens, Finish(finish) if finish else None)
            case frames.Counters():
                self._health = replace(
                    self._health,
                    running=frame.running,
                    waiting=frame.waiting,
                    kv_blocks_reserved=frame.kv_blocks_reserved,
                )
            case frames.Reading():
                self._at_work(frame.key, _Work.READING if frame.begins else None)
            case frames.Accepted():
                self._at_work(frame.key, None)
                if job := self._jobs.get(frame.key):
                    job.mailbox.accept(frame.tokens)
            case frames.Began():
                self._at_work(frame.key, _Work.RUNNING)
            case frames.Cached():
                if job := self._jobs.get(frame.key):
                    job.mailbox.count_cached(frame.tokens)
            case frames.Scored():
                if job := self._jobs.get(frame.key):
                    job.mailbox.score(TokenLogprob(*token) for token in frame.tokens)
            case frames.Refused():
                self._fail(frame.key, invalid(frame.reason))
            case frames.TooLong():
                self._fail(frame.key, too_long(frame.tokens, frame.limit))
            case frames.Full():
                self._fail(frame.key, overloaded("Overloaded"))
            case frames.Broke():
                _log.error("the runtime failed on one request: %s", frame.reason)
                self._fail(frame.key, failed("The engine failed on this request."))
            case _:
                raise frames.BadFrame(f"{type(frame).__name__}, which is for workers")

    def _at_work(self, key: int, work: _Work | None) -> None:
        if job := self._jobs.get(key):
            job.at_work = work

    def _fail(self, key: int, error: Refusal) -> None:
        if job := self._jobs.get(key):
            job.at_work = None
            job.mailbox.fail(error)

    def _say_loaded(self, frame: frames.Loaded) -> None:
        settings = self._settings
        form = "its chat template" if frame.chat else "prompts as text"
        _log.info("%s runs on %s, with %s", self._name, frame.runtime, form)
        _log.info(
            "threads %d, context %d tokens, KV cache %d MiB (%d blocks), "
            "up to %d completions at once, %d tokens a step",
            frame.threads,
            frame.context,
            -(-frame.kv_bytes // 2**20),
            frame.kv_blocks,
            settings.max_running,
            settings.batch_tokens,
        )
        _log.info("prefix cache: %s", _prefix_cache(settings.prefix_cache, frame.runtime))
        for warning in frame.warnings:
            _log.warning("%s: %s", self._name, warning)


def _prefix_cache(setting: str, runtime: str) -> str:
    if setting == "shared":
        return _SHARED
    if setting == "off":
        return "off"
    kind = runtimes().get(runtime)
    if kind is not None and not kind.separates_tenants:
        return f"off, because {kind.title} cannot keep API keys apart"
    return "apart for each API key"


def _scoring_runtimes() -> str:
    return " or ".join(f"`{name}`" for name, kind in runtimes().items() if kind.scores_tokens)


def _messages(chat: Chat) -> tuple[list[tuple[str, Text]], Text]:
    """What a chat template is given: roles and texts, the user's first, and the answer's start."""
    system: list[tuple[str, Text]] = [("system", chat.system)] if chat.system else []
    begins = bool(chat.turns) and chat.turns[0][0] == "user"
    opening: list[tuple[str, Text]] = [] if begins else [("user", "")]
    return [*system, *opening, *chat.turns], Rope.joined(chat.prefill, chat.gap)


def _check(path: Path) -> str:
    """Check a model, and return its name; see `model_file.name`."""
    try:
        if path.is_dir() and not ir.is_ir(path):
            raise ModelError(
                f"{path}: is a folder without a model; name a GGUF file, or a folder that holds "
                f"{ir.MODEL}.xml"
            )
        if reason := model_file.not_text(model_file.read(path)):
            raise ModelError(f"{path}: {reason}")
    except (ModelFileError, OSError) as error:
        raise ModelError(f"{path}: {model_file.problem(path, error)}") from None
    return model_file.name(path)
