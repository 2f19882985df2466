"""The states of the supervisor, with a fake worker in place of a process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tenuto.core.refusal import Kind, ModelError, failed
from tenuto.engine.local import frames, supervisor
from tenuto.engine.local.frame_codec import BadFrame, Encoded
from tenuto.engine.local.runtime import RuntimeOptions
from tenuto.engine.local.supervisor import Ended, Loading, Serving, State, Supervisor
from tests.conftest import PATIENCE_S
from tests.refusals import refused

pytestmark = pytest.mark.anyio

LOADED = frames.Loaded(100, 10, 10, 1000, 1, "openvino", False, "")
CLOSING = failed("The engine is shutting down.")


class FakeWorker:
    """A worker whose frames, or whose fault, a test chooses."""

    pid = 1
    loads = False

    def __init__(self, *received: frames.Frame) -> None:
        self.sent: list[frames.ToWorker | Encoded] = []
        self.killed = False
        self._frames: asyncio.Queue[frames.Frame | Exception | None] = asyncio.Queue()
        for frame in received:
            self._frames.put_nowait(frame)

    def send(self, frame: frames.ToWorker | Encoded) -> None:
        self.sent.append(frame)

    async def frames(self) -> AsyncIterator[frames.Frame]:
        while (frame := await self._frames.get()) is not None:
            if isinstance(frame, Exception):
                raise frame
            yield frame

    def fail(self, error: Exception) -> None:
        self._frames.put_nowait(error)

    def abort(self) -> None:
        self._frames.put_nowait(None)

    async def kill(self) -> str:
        self.killed = True
        return "exit code 1"

    def activity(self) -> int | None:
        return None


def dying(*received: frames.Frame) -> FakeWorker:
    worker = FakeWorker(*received)
    worker.abort()
    return worker


class FakeOwner:
    """Record frames, and each state as its type."""

    def __init__(self) -> None:
        self.log: list[type[State] | frames.Frame] = []

    def changed(self, state: State) -> None:
        self.log.append(type(state))

    def received(self, frame: frames.Frame) -> None:
        if isinstance(frame, frames.Began):
            raise BadFrame("Began, which is unexpected")
        self.log.append(frame)


@asynccontextmanager
async def running(
    *workers: FakeWorker | Exception, runtime: str = "auto", timeout_s: float = 60.0
) -> AsyncIterator[tuple[Supervisor, FakeOwner]]:
    """A supervisor of these workers in turn; each start after them hangs."""
    owner, left = FakeOwner(), list(workers)

    async def spawn() -> FakeWorker:
        if not left:
            await asyncio.Event().wait()
        worker = left.pop(0)
        if isinstance(worker, Exception):
            raise worker
        return worker

    load = frames.Load(RuntimeOptions("m.gguf", 8), 8, runtime)
    supervised = Supervisor(load, "m", timeout_s, owner.changed, owner.received, spawn)
    supervised.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield supervised, owner
    finally:
        await supervised.aclose(CLOSING)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_DELAY_S", 0.0)


async def restarted(supervised: Supervisor, times: int) -> None:
    while supervised.restarts < times:
        await asyncio.sleep(0)


async def test_a_loaded_model_is_served_by_its_worker() -> None:
    worker = FakeWorker(LOADED, frames.Accepted(1, 5))
    async with running(worker) as (supervised, owner):
        assert type(supervised.state) is Loading
        serving = await supervised.serving()
        assert (serving.worker, serving.loaded) == (worker, LOADED)
        await asyncio.sleep(0)
        assert worker.sent == [supervised.load]
        assert owner.log == [Serving, frames.Accepted(1, 5)]


@pytest.mark.parametrize("fault", ["it dies", "invalid data", "a bug", "an unexpected frame"])
async def test_failing_worker_is_replaced_once(fault: str) -> None:
    first, second = FakeWorker(LOADED), FakeWorker(LOADED)
    async with running(first, second) as (supervised, owner):
        await supervised.serving()
        if fault == "it dies":
            first.abort()
        elif fault == "an unexpected frame":
            first._frames.put_nowait(frames.Began(1))
        else:
            first.fail(BadFrame("nonsense") if fault == "invalid data" else RuntimeError())
        await restarted(supervised, 1)
        assert (await supervised.serving()).worker is second
        assert first.killed
        assert owner.log == [Serving, Loading, Serving]


async def test_failed_process_start_does_not_count_as_a_failed_load() -> None:
    errors = [OSError(11, "no")] * 5
    async with running(*errors, FakeWorker(LOADED)) as (supervised, owner):
        await supervised.serving()
        assert owner.log == [*[Loading] * 5, Serving]
        assert supervised.restarts == 5


async def test_unloadable_model_is_a_terminal_error() -> None:
    worker = FakeWorker(frames.NotLoaded("the file is truncated"))
    async with running(worker) as (supervised, owner):
        worker.abort()
        with pytest.raises(ModelError, match=r"m\.gguf: the file is truncated"):
            await supervised.serving()
        await supervised.aclose(CLOSING)
        assert owner.log == [Ended]
        assert worker.killed


async def test_terminal_error_is_set_once() -> None:
    worker = FakeWorker(LOADED)
    async with running(worker) as (supervised, owner):
        await supervised.serving()
        await supervised.aclose(CLOSING)
        await supervised.aclose(failed("Another."))
        assert worker.killed
        assert owner.log == [Serving, Ended]
        with refused(Kind.FAILED, match="shutting down"):
            await supervised.serving()


async def test_runtime_that_rejected_the_model_is_not_tried_again() -> None:
    first = FakeWorker(replace(LOADED, runtime="llamacpp", note="refused"))
    async with running(first, FakeWorker(LOADED)) as (supervised, _):
        await supervised.serving()
        assert supervised.load.runtime == "llamacpp"


async def test_last_load_attempt_uses_another_runtime(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workers = [dying(frames.RuntimeChosen("openvino", "llamacpp")) for _ in range(3)]
    async with running(*workers) as (supervised, owner):
        with pytest.raises(ModelError, match="crashes when it loads"):
            await supervised.serving()
        loads = [frame for worker in workers for frame in worker.sent]
        chosen = [frame.runtime for frame in loads if isinstance(frame, frames.Load)]
        assert chosen == ["auto", "auto", "llamacpp"]
        assert owner.log[-1] is Ended
    assert "the runtime died while it loaded; trying llamacpp" in caplog.text


@pytest.mark.parametrize(
    ("runtime", "died", "after"),
    # The one that died may be the last: alone installed, or chosen after a refusal.
    [("auto", "llamacpp", ""), ("llamacpp", "llamacpp", ""), ("openvino", "openvino", "llamacpp")],
)
async def test_crashed_runtime_is_not_logged_as_the_fallback(
    runtime: str, died: str, after: str, caplog: pytest.LogCaptureFixture
) -> None:
    workers = [dying(frames.RuntimeChosen(died, after)) for _ in range(3)]
    async with running(*workers, runtime=runtime) as (supervised, _):
        with pytest.raises(ModelError, match="crashes when it loads"):
            await supervised.serving()
        assert supervised.load.runtime == runtime
    assert "trying" not in caplog.text


async def test_a_worker_that_does_not_reply_is_aborted(caplog: pytest.LogCaptureFixture) -> None:
    first = FakeWorker(LOADED)
    async with running(first, FakeWorker(LOADED), timeout_s=0.05) as (supervised, owner):
        await supervised.serving()
        await restarted(supervised, 1)
        assert frames.Ping() in first.sent
        assert owner.log[:2] == [Serving, Loading]
    assert "hangs: no step ended in step_timeout_s" in caplog.text
