"""The parent's side: starts the worker, hands jobs out, takes pieces in, starts it again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tenuto.engine.base import (
    EngineError,
    EngineFailed,
    EngineOverloaded,
    FieldRefused,
    Finish,
    Job,
    ModelError,
    Piece,
    PromptRefused,
    PromptTooLong,
    Status,
    TokenLogprob,
)
from tenuto.engine.local import frames, ir, model_file
from tenuto.engine.local.mailbox import Mailbox
from tenuto.engine.local.process import WorkerProcess
from tenuto.engine.local.watchdog import Watchdog
from tenuto.prompt.render import to_chat
from tenuto.prompt.turns import Prompt
from tenuto.settings import LocalSettings

_log = logging.getLogger("tenuto.engine")

BUILT_IN: Final = "tenuto-mini"

# A worker that lived for this long has shown that it can: the next restart is immediate again.
_STABLE_S: Final = 30.0
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 30.0
# A worker that dies so often in a row before the model is loaded will never load it.
_MOST_LOAD_DEATHS: Final = 3

# A chat of so many times the context is not rendered, whatever its template leaves out of it.
_MOST_LEFT_OUT: Final = 8

_BROKE: Final = (
    "The engine stopped unexpectedly while it worked on this request. It is starting again; "
    "please send the request once more."
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
        self._supervisor: asyncio.Task[None] | None = None
        self._worker: WorkerProcess | None = None
        self._loaded = asyncio.Event()
        self._chat = False
        self._longest_token = 1
        self._runtime: str = settings.runtime
        # Why there is no worker, and will be none.
        self._ended: EngineError | None = None
        self._jobs: dict[int, Mailbox] = {}
        self._keys = itertools.count()
        self._most_logprobs = 0
        self._status = Status(
            False, self._name, "The model is loading.", extensions=("seed", "logprobs")
        )

    async def start(self) -> None:
        """See `Engine.start`."""
        if self._supervisor is None:
            self._supervisor = asyncio.create_task(self._supervise(), name="engine supervisor")

    async def ready(self) -> str:
        """See `Engine.ready`."""
        await self._loaded.wait()
        if self._ended is not None:
            raise self._ended
        return self._name

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """See `Engine.generate`."""
        worker = await self._wait_for_worker()
        self._check_logprobs(job)
        # Without turns there is nothing for a template: the text itself is to be continued.
        chats = self._chat and job.prompt.has_turns
        self._check_length(job.prompt, chats=chats)
        key = next(self._keys)
        mailbox = self._jobs[key] = Mailbox()
        # The runtime's own default seed is 0: all would get the same "random" text.
        seed = secrets.randbits(64) if job.seed is None else job.seed
        messages, text = _messages(job.prompt) if chats else (None, job.prompt.text)
        worker.send(
            frames.Submit(
                key,
                text,
                job.max_tokens,
                job.temperature,
                job.top_p,
                job.top_k,
                seed,
                messages,
                job.logprobs,
            )
        )
        finished = False
        try:
            while not finished:
                piece = await mailbox.get()
                finished = piece.finish is not None
                yield piece
        finally:
            # Whoever closes the generator, or is cancelled while it waits, gives the slot back.
            del self._jobs[key]
            if not finished:
                worker.send(frames.Cancel(key))

    async def ping(self) -> Status:
        """See `Engine.ping`. The counters are at most one step old."""
        return self._status

    async def aclose(self) -> None:
        """See `Engine.aclose`."""
        self._end(EngineFailed("The engine is shutting down."))
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor

    def _check_logprobs(self, job: Job) -> None:
        if job.logprobs is not None and job.logprobs > self._most_logprobs:
            raise FieldRefused(
                "logprobs",
                f"Input should be less than or equal to {self._most_logprobs} with this model. "
                "Its runtime knows the log probabilities of the tokens that it writes, and not of "
                "others; `llamacpp` does.",
            )

    def _check_length(self, prompt: Prompt, *, chats: bool) -> None:
        """Refuse a prompt that is hopeless, however it is tokenised, before it is rendered."""
        limit = self._status.context - 1
        # A template may leave text out: thoughts of earlier turns, white space around a turn.
        size = prompt.spoken_size() // _MOST_LEFT_OUT if chats else prompt.size
        least = size // self._longest_token
        if least > limit:
            raise PromptTooLong(least, limit)

    async def _wait_for_worker(self) -> WorkerProcess:
        if self._supervisor is None:
            raise EngineFailed("The engine has not been started.")
        try:
            async with asyncio.timeout(self._settings.load_wait_s):
                await self._loaded.wait()
        except TimeoutError:
            raise EngineOverloaded("The model is still loading. Try again in a moment.") from None
        if self._ended is not None:
            raise self._ended
        assert self._worker is not None
        return self._worker

    async def _supervise(self) -> None:
        """Keeps a worker running until it is clear that none can."""
        ever_loaded = False
        deaths = 0
        delay = 0.0
        while self._ended is None:
            await asyncio.sleep(delay)
            started = time.monotonic()
            ever_loaded = await self._run_worker() or ever_loaded
            deaths += 1
            last_try = not ever_loaded and deaths == _MOST_LOAD_DEATHS - 1
            another = self._runtime == "auto" and self._path.is_file() and find_spec("xllamacpp")
            if last_try and another:
                _log.warning("%s: the runtime died while it loaded; trying llamacpp", self._name)
                self._runtime = "llamacpp"
            if not ever_loaded and deaths == _MOST_LOAD_DEATHS:
                self._end(ModelError(f"{self._path}: the runtime crashes when it loads this model"))
            stable = time.monotonic() - started >= _STABLE_S
            delay = 0.0 if stable else min(max(_FIRST_DELAY_S, 2 * delay), _LONGEST_DELAY_S)
            self._status = replace(self._status, restarts=self._status.restarts + 1)

    async def _run_worker(self) -> bool:
        """One worker's life. Returns whether it came to load the model."""
        try:
            worker = await WorkerProcess.spawn()
        except OSError as error:
            # Out of processes or descriptors: that may pass.
            _log.error("the engine's worker cannot be started: %s", error)
            return False
        settings = self._settings
        worker.send(
            frames.Load(
                # Not resolved: a link's own name may say what the file's does not.
                str(self._path.absolute()),
                settings.max_running,
                settings.max_waiting,
                settings.kv_cache_mib,
                settings.threads,
                self._runtime,
                settings.format,
                settings.context,
                settings.batch_tokens,
                settings.special_tokens_in_raw,
            )
        )
        self._worker = worker
        loaded = False
        watchdog = Watchdog(settings.step_timeout_s)
        watch: asyncio.Task[None] | None = None
        try:
            async for frame in worker.frames():
                if isinstance(frame, frames.Pong):
                    watchdog.heard()
                    continue
                self._handle(frame)
                if isinstance(frame, frames.Loaded):
                    # Not before: how long a load takes depends on the disk and the model.
                    loaded = True
                    watch = asyncio.create_task(self._watch(worker, watchdog))
        finally:
            if watch is not None:
                watch.cancel()
            how = await worker.kill()
            if self._ended is None:
                self._loaded.clear()
                self._status = replace(
                    self._status,
                    ready=False,
                    detail="The engine is starting again.",
                    running=0,
                    waiting=0,
                    kv_blocks_reserved=0,
                )
                self._fail_all(EngineFailed(_BROKE))
        if self._ended is None:
            _log.error("the engine's worker died (%s); starting it again", how)
        return loaded

    async def _watch(self, worker: WorkerProcess, watchdog: Watchdog) -> None:
        await watchdog.hangs(lambda: worker.send(frames.Ping()))
        _log.error("the engine's worker hangs: no step ended in step_timeout_s; it is killed")
        worker.abort()

    def _handle(self, frame: frames.Frame) -> None:
        match frame:
            case frames.Wrote():
                for key, text, tokens, finish in frame.pieces:
                    # A job that was cancelled a moment ago may still be in the step's result.
                    if mailbox := self._jobs.get(key):
                        mailbox.put(text, tokens, Finish(finish) if finish else None)
            case frames.Counters():
                self._status = replace(
                    self._status,
                    running=frame.running,
                    waiting=frame.waiting,
                    kv_blocks_reserved=frame.kv_blocks_reserved,
                )
            case frames.Accepted():
                if mailbox := self._jobs.get(frame.key):
                    mailbox.accept(frame.tokens)
            case frames.Cached():
                if mailbox := self._jobs.get(frame.key):
                    mailbox.count_cached(frame.tokens)
            case frames.Scored():
                if mailbox := self._jobs.get(frame.key):
                    mailbox.score(TokenLogprob(*token) for token in frame.tokens)
            case frames.Refused():
                reason = f"the model's chat template refuses the prompt: {frame.reason}"
                self._fail(frame.key, PromptRefused(reason))
            case frames.TooLong():
                self._fail(frame.key, PromptTooLong(frame.tokens, frame.limit))
            case frames.Full():
                self._fail(frame.key, EngineOverloaded("Overloaded"))
            case frames.Broke():
                _log.error("the runtime failed on one request: %s", frame.reason)
                self._fail(frame.key, EngineFailed("The engine failed on this request."))
            case frames.Loaded():
                self._status = replace(
                    self._status,
                    ready=True,
                    detail="Ready.",
                    context=frame.context,
                    longest_prompt=frame.context * frame.longest_token,
                    kv_blocks=frame.kv_blocks,
                )
                self._chat, self._longest_token = frame.chat, frame.longest_token
                self._most_logprobs = frame.most_logprobs
                self._say_loaded(frame)
                self._loaded.set()
            case frames.NotLoaded():
                self._end(ModelError(f"{self._path}: {frame.reason}"))
            case _:
                raise TypeError(f"the worker sent {type(frame).__name__}")

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
        for warning in frame.warnings:
            _log.warning("%s: %s", self._name, warning)
        if frame.note:
            # Once: from now on the worker starts with the one that works.
            _log.warning("%s; %s runs it instead", frame.note, frame.runtime)
            self._runtime = frame.runtime

    def _end(self, why: EngineError) -> None:
        """There will be no worker any more: everyone who waits, now or later, is told why."""
        if self._ended is None:
            self._ended = why
            # The reason names a path on this machine; the status is for everyone.
            broken = isinstance(why, ModelError)
            detail = "The model cannot be loaded; the log says why." if broken else str(why)
            self._status = replace(self._status, ready=False, detail=detail)
            if broken:
                _log.error("%s", why)
            self._loaded.set()
            self._fail_all(why)

    def _fail(self, key: int, error: EngineError) -> None:
        if mailbox := self._jobs.get(key):
            mailbox.fail(error)

    def _fail_all(self, error: EngineError) -> None:
        for mailbox in self._jobs.values():
            mailbox.fail(error)


def built_in_model() -> Path:
    """The model in the package."""
    return Path(str(resources.files("tenuto") / "builtin" / f"{BUILT_IN}.gguf"))


def _messages(prompt: Prompt) -> tuple[list[tuple[str, str]], str]:
    """What a chat template is given: roles and texts, the user's first, and the answer's start."""
    chat = to_chat(prompt)
    system = [("system", chat.system)] if chat.system else []
    begins = bool(chat.turns) and chat.turns[0][0] == "user"
    opening = [] if begins else [("user", "")]
    return [*system, *opening, *chat.turns], chat.prefill + chat.gap


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
    except (*model_file.Unsound, OSError) as error:
        raise ModelError(f"{path}: {model_file.problem(path, error)}") from None
    return model_file.name(path)
