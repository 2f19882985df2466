"""The worker's life cycle: start it, load the model, replace it when it dies or hangs.

The supervisor is always in one of three states: `Loading`, `Serving` or `Ended`. Every transition
is reported to the engine, which then fails the jobs of the state that was left.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeAlias

from tenuto.core.refusal import ModelError, Refusal, failed
from tenuto.engine.local import frames
from tenuto.engine.local.choose import AUTO
from tenuto.engine.local.frame_codec import BadFrame, Encoded
from tenuto.engine.local.watchdog import Watchdog

_log = logging.getLogger("tenuto.engine")

# A worker that lived this long is stable: the next restart is immediate.
_STABLE_S: Final = 30.0
_FIRST_DELAY_S: Final = 0.25
_LONGEST_DELAY_S: Final = 30.0
_MOST_LOAD_DEATHS: Final = 3


class Process(Protocol):
    """A running worker: see `process.WorkerProcess`."""

    @property
    def pid(self) -> int: ...
    @property
    def loads(self) -> bool: ...
    def send(self, frame: frames.ToWorker | Encoded) -> None: ...
    def frames(self) -> AsyncIterator[frames.Frame]: ...
    def abort(self) -> None: ...
    async def kill(self) -> str: ...
    def activity(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Loading:
    """No worker takes jobs at the moment; `detail` is a sentence for people."""

    detail: str


@dataclass(frozen=True, slots=True, eq=False)
class Serving:
    """A worker has loaded the model and takes jobs."""

    worker: Process
    loaded: frames.Loaded


@dataclass(frozen=True, slots=True)
class Ended:
    """Terminal state: no worker will start again, because of `why`."""

    why: Refusal


State: TypeAlias = Loading | Serving | Ended


class Supervisor:
    """Run one worker after another.

    Args:
        name: Name of the model, for the log.
        step_timeout_s: Longest time without a step, or without progress of a job, in seconds.
        changed: Called with each new state. Except in `Serving`, the last worker's jobs are lost.
        received: Called with each frame about a job, and with counters.

    Attributes:
        load: Frame for the next worker; its runtime changes after failed attempts.
        restarts: Number of workers that were replaced.
    """

    def __init__(
        self,
        load: frames.Load,
        name: str,
        step_timeout_s: float,
        changed: Callable[[State], None],
        received: Callable[[frames.Frame], None],
        spawn: Callable[[], Awaitable[Process]],
    ) -> None:
        self.load: frames.Load = load
        self.restarts: int = 0
        self.state: State = Loading("The model is loading.")
        self._name = name
        self._step_timeout_s = step_timeout_s
        self._changed = changed
        self._received = received
        self._spawn = spawn
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._alternative = ""
        # Set in all states but `Loading`.
        self._settled = asyncio.Event()

    @property
    def started(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        """Start the first worker. Later calls do nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._supervise(), name="engine supervisor")

    async def serving(self) -> Serving:
        """Wait for a worker that takes jobs, also before `start`. Valid until the next `await`.

        Raises:
            Refusal: The supervisor has ended.
        """
        while True:
            match self.state:
                case Serving():
                    return self.state
                case Ended(why):
                    raise why
            # The state may change again before a waiting task gets its turn.
            await self._settled.wait()

    async def aclose(self, why: Refusal) -> None:
        """Stop for a reason, and return when the worker is gone."""
        self._enter(Ended(why))
        if self._task is None:
            return
        if not self._closing:
            # Once, because a second cancellation would interrupt the end of the worker.
            self._closing = True
            self._task.cancel()
        # Not awaited itself: a cancellation of this task must not be taken for that of the other.
        await asyncio.wait([self._task])

    def _enter(self, state: State) -> None:
        """Change the state, unless it is terminal, and report it."""
        if isinstance(self.state, Ended):
            return
        self.state = state
        if isinstance(state, Loading):
            self._settled.clear()
        else:
            self._settled.set()
        self._changed(state)

    async def _supervise(self) -> None:
        try:
            await self._keep_running()
        except Exception as error:
            # A bug in this module. Without a terminal state, requests would wait for ever.
            _log.error("the engine cannot go on (%s)", type(error).__name__, exc_info=error)
            self._enter(Ended(failed("The engine failed and cannot go on; restart the server.")))

    async def _keep_running(self) -> None:
        ever_loaded = False
        deaths = 0
        delay = 0.0
        while not isinstance(self.state, Ended):
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
            if not isinstance(self.state, Ended):
                self.restarts += 1

    def _judge(self, deaths: int) -> None:
        """Change the runtime or stop, if workers died repeatedly before the model was loaded."""
        path = self.load.options.path
        if deaths == _MOST_LOAD_DEATHS:
            reason = f"{path}: the runtime crashes when it loads this model"
            self._enter(Ended(ModelError(reason)))
        elif deaths == _MOST_LOAD_DEATHS - 1 and self.load.runtime == AUTO and self._alternative:
            another = self._alternative
            _log.warning("%s: the runtime died while it loaded; trying %s", self._name, another)
            self.load = replace(self.load, runtime=another)

    async def _started(self) -> Process | None:
        """Start a worker. Return None if the system refuses, which may be temporary."""
        try:
            return await self._spawn()
        except Exception as error:
            # For example out of processes, memory or descriptors, or a Python that was replaced.
            self._enter(Loading("The engine's process cannot be started; the log says why."))
            reason = getattr(error, "strerror", None) or type(error).__name__
            _log.error("the engine's worker cannot be started (%s); trying again", reason)
            return None

    async def _run(self, worker: Process) -> bool:
        """Use one worker until it is gone. Return whether it loaded the model."""
        loaded = False
        self._alternative = ""
        watchdog = Watchdog(self._step_timeout_s)
        # A load has no time limit, since disks and models differ: only an idle process hangs.
        watch = asyncio.create_task(_abort(worker, partial(watchdog.stalls, worker.activity)))
        try:
            if not worker.loads:
                worker.send(self.load)
            async for frame in worker.frames():
                match frame:
                    case frames.Pong():
                        watchdog.answered(frame.progress)
                    case frames.RuntimeChosen():
                        self._alternative = frame.alternative
                    case frames.Loaded():
                        loaded = True
                        watch.cancel()
                        ping = partial(worker.send, frames.Ping())
                        watch = asyncio.create_task(_abort(worker, partial(watchdog.hangs, ping)))
                        self._serve(worker, frame)
                    case frames.NotLoaded():
                        reason = ModelError(f"{self.load.options.path}: {frame.reason}")
                        self._enter(Ended(reason))
                    case _:
                        self._received(frame)
        except BadFrame as error:
            _log.error("the engine's worker sent %s; it is replaced", error)
        except Exception as error:
            _log.error("a frame of the engine's worker makes no sense", exc_info=error)
        finally:
            watch.cancel()
            # Before any `await`: no job may be sent to a worker that is going.
            self._enter(Loading("The engine is starting again."))
            how = await _reaped(worker)
        if not isinstance(self.state, Ended):
            _log.error("the engine's worker died (%s); starting it again", how)
        return loaded

    def _serve(self, worker: Process, frame: frames.Loaded) -> None:
        if frame.note:
            # Logged once, because later workers start with this runtime.
            _log.warning("%s; %s runs it instead", frame.note, frame.runtime)
            self.load = replace(self.load, runtime=frame.runtime)
        self._enter(Serving(worker, frame))


async def _abort(worker: Process, hangs: Callable[[], Awaitable[str]]) -> None:
    """Abort a worker as soon as it hangs."""
    why = await hangs()
    _log.error("the engine's worker hangs: %s in step_timeout_s; it is killed", why)
    worker.abort()


async def _reaped(worker: Process) -> str:
    """End a worker, also if this task is cancelled meanwhile: `aclose` returns when it is gone."""
    end = asyncio.create_task(worker.kill())
    try:
        return await asyncio.shield(end)
    except asyncio.CancelledError:
        await asyncio.wait([end])
        raise
