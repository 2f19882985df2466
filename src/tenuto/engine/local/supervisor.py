"""Keeps a worker running: starts it, loads the model, replaces it when it dies or hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from tenuto.core.refusal import ModelError, Refusal, failed
from tenuto.engine.local import frames
from tenuto.engine.local.choose import AUTO, last_resort
from tenuto.engine.local.frames import BadFrame
from tenuto.engine.local.process import WorkerProcess
from tenuto.engine.local.watchdog import Watchdog

_log = logging.getLogger("tenuto.engine")

# A worker that lived for this long has shown that it can: the next restart is immediate again.
_STABLE_S: Final = 30.0
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 30.0
# A worker that dies so often in a row before the model is loaded will never load it.
_MOST_LOAD_DEATHS: Final = 3

_AGAIN: Final = "The engine is starting again."
_NO_PROCESS: Final = "The engine's process cannot be started; the log says why."


class Process(Protocol):
    """A running worker: see `WorkerProcess`."""

    @property
    def pid(self) -> int: ...
    def send(self, frame: frames.Frame | frames.Encoded) -> None: ...
    def frames(self) -> AsyncIterator[frames.Frame]: ...
    def abort(self) -> None: ...
    async def kill(self) -> str: ...
    def activity(self) -> int | None: ...


class Owner(Protocol):
    """Who has jobs for the worker. Its methods return at once."""

    def loaded(self, frame: frames.Loaded) -> None:
        """A worker has loaded the model; it takes jobs from now on."""
        ...

    def received(self, frame: frames.Frame) -> None:
        """The worker sent a frame about a job, or counters."""
        ...

    def lost(self, detail: str) -> None:
        """There is no worker for now, and its jobs are lost.

        Args:
            detail: A sentence for people.
        """
        ...

    def ended(self, why: Refusal) -> None:
        """There will be no worker any more."""
        ...


class Supervisor:
    """Has one worker after another.

    Args:
        load: What each of them is to load.
        name: The model's name, for the log.
        step_timeout_s: How long the worker may give no sign of life, or get nowhere, in seconds.
        owner: Who has the jobs.
        spawn: Starts a worker.

    Attributes:
        load: What the next worker is to load: the runtime changes where one cannot.
        restarts: How often a worker was replaced.
        ended: Why there will be no worker any more, None while there may be one. Set once.
    """

    def __init__(
        self,
        load: frames.Load,
        name: str,
        step_timeout_s: float,
        owner: Owner,
        spawn: Callable[[], Awaitable[Process]] = WorkerProcess.spawn,
    ) -> None:
        self.restarts: int = 0
        self.ended: Refusal | None = None
        self.load: frames.Load = load
        self._name = name
        self._step_timeout_s = step_timeout_s
        self._owner = owner
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._worker: Process | None = None
        # Set while there is a worker that takes jobs, and when there will be none any more.
        self._settled = asyncio.Event()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._task is not None

    def start(self) -> None:
        """Begins; does nothing the second time."""
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name="engine supervisor")

    async def worker(self) -> Process:
        """Waits for a worker that takes jobs, also before `start`. It is there until an `await`.

        Raises:
            Refusal: There will be none.
        """
        while True:
            if self.ended is not None:
                raise self.ended
            if self._worker is not None:
                return self._worker
            # It may be gone again before a task that waited for it gets its turn.
            await self._settled.wait()

    async def aclose(self, why: Refusal) -> None:
        """Ends the worker. Returns when it is gone."""
        self._end(why)
        if self._task is None:
            return
        if not self._closing:
            # Once: a second time would break off the end of the worker.
            self._closing = True
            self._task.cancel()
        # Not awaited itself: a cancellation of this task must not be taken for that of the other.
        await asyncio.wait([self._task])

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except Exception as error:
            # A bug here. Without a worker for ever, callers must hear of it.
            _log.error("the engine cannot go on (%s)", type(error).__name__, exc_info=error)
            self._end(failed("The engine failed and cannot go on; restart the server."))

    async def _keep_running(self) -> None:
        """Runs one worker after another until it is clear that none can."""
        ever_loaded = False
        deaths = 0
        delay = 0.0
        while self.ended is None:
            await asyncio.sleep(delay)
            started = time.monotonic()
            worker = await self._started()
            if worker is not None:
                ever_loaded = await self._run(worker) or ever_loaded
                deaths += 1
                if not ever_loaded:
                    self._judge(deaths)
            stable = time.monotonic() - started >= _STABLE_S
            delay = 0.0 if stable else min(max(_FIRST_DELAY_S, 2 * delay), _LONGEST_DELAY_S)
            if self.ended is None:
                self.restarts += 1

    def _judge(self, deaths: int) -> None:
        """Decides what to do after a model was never loaded."""
        if deaths == _MOST_LOAD_DEATHS:
            self._end(ModelError(f"{self.load.path}: the runtime crashes when it loads this model"))
            return
        if deaths == _MOST_LOAD_DEATHS - 1 and self.load.runtime == AUTO:
            another = last_resort("ir" if Path(self.load.path).is_dir() else "gguf")
            if another is not None:
                _log.warning("%s: the runtime died while it loaded; trying %s", self._name, another)
                self.load = replace(self.load, runtime=another)

    async def _started(self) -> Process | None:
        """A new worker; None if the system does not let one start, which may pass."""
        try:
            return await self._spawn()
        except Exception as error:
            # For example out of processes, memory or descriptors, or a Python that was replaced.
            self._owner.lost(_NO_PROCESS)
            reason = getattr(error, "strerror", None) or type(error).__name__
            _log.error("the engine's worker cannot be started (%s); trying again", reason)
            return None

    async def _run(self, worker: Process) -> bool:
        """One worker's life. Returns whether it came to load the model."""
        loaded = False
        watchdog = Watchdog(self._step_timeout_s)
        watch = asyncio.create_task(self._watch_load(worker, watchdog))
        try:
            worker.send(self.load)
            async for frame in worker.frames():
                match frame:
                    case frames.Pong():
                        watchdog.heard(frame.progress)
                    case frames.Loaded():
                        loaded = True
                        watch.cancel()
                        watch = asyncio.create_task(self._watch(worker, watchdog))
                        self._take_on(worker, frame)
                    case frames.NotLoaded():
                        self._end(ModelError(f"{self.load.path}: {frame.reason}"))
                    case _:
                        self._owner.received(frame)
        except BadFrame as error:
            _log.error("the engine's worker sent %s; it is replaced", error)
        except Exception as error:
            _log.error("a frame of the engine's worker makes no sense", exc_info=error)
        finally:
            # Before anything that waits: no job may be given to a worker that is going.
            self._worker = None
            watch.cancel()
            if self.ended is None:
                self._settled.clear()
                self._owner.lost(_AGAIN)
            how = await _reaped(worker)
        if self.ended is None:
            _log.error("the engine's worker died (%s); starting it again", how)
        return loaded

    def _take_on(self, worker: Process, frame: frames.Loaded) -> None:
        if frame.note:
            # Once: from now on the worker starts with the one that works.
            _log.warning("%s; %s runs it instead", frame.note, frame.runtime)
            self.load = replace(self.load, runtime=frame.runtime)
        self._owner.loaded(frame)
        self._worker = worker
        self._settled.set()

    async def _watch_load(self, worker: Process, watchdog: Watchdog) -> None:
        # How long a load takes depends on the disk and the model; one that hangs does nothing.
        await watchdog.stalls(worker.activity)
        _log.error(
            "the engine's worker hangs while it loads: it neither read nor computed anything in "
            "step_timeout_s; it is killed"
        )
        worker.abort()

    async def _watch(self, worker: Process, watchdog: Watchdog) -> None:
        why = await watchdog.hangs(lambda: worker.send(frames.Ping()))
        _log.error("the engine's worker hangs: %s in step_timeout_s; it is killed", why)
        worker.abort()

    def _end(self, why: Refusal) -> None:
        """There will be no worker any more: everyone who waits, now or later, is told why."""
        if self.ended is None:
            self.ended = why
            self._owner.ended(why)
            self._settled.set()


async def _reaped(worker: Process) -> str:
    """End a worker, also when this is cancelled meanwhile: `aclose` returns when it is gone."""
    end = asyncio.create_task(worker.kill())
    try:
        return await asyncio.shield(end)
    except asyncio.CancelledError:
        await asyncio.wait([end])
        raise
