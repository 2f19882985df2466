"""The step loop, with a scripted runtime and with a real one."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest

from tenuto.core.job import Sampling
from tenuto.core.refusal import Refusal, invalid, overloaded, too_long
from tenuto.engine.local import frames
from tenuto.engine.local.frame_codec import FrameReader, encode
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.model_loading import LoadedModel
from tenuto.engine.local.parent_link import ParentGone, ParentLink
from tenuto.engine.local.runtime import Delta, Runtime, RuntimeOptions, TextRefused
from tenuto.engine.local.step_loop import StepLoop
from tests.conftest import PATIENCE_S
from tests.engine.local.runtimes.contract import made

F = TypeVar("F", bound=frames.Frame)

CONTEXT = 10_000
LONG = "long " * 20_000


class Scripted:
    """Write a letter a step for every job; tokenise long prompts when a test allows it."""

    context = CONTEXT
    kv_blocks = 1000
    kv_bytes = 1000
    threads = 1
    block_tokens = 32
    longest_token = 100
    needs_computed_prefixes = False
    most_logprobs = 0
    vocabulary = 256

    def __init__(self) -> None:
        self.left: dict[int, int] = {}
        self.begun: list[int] = []
        self.held: set[int] = set()
        self.steps = 0
        self.may_step: threading.Semaphore | None = None
        self.tokenising = threading.Event()
        self.may_tokenise = threading.Event()

    def encode(self, text: str) -> list[int]:
        if threading.current_thread().name == "tokenising":
            self.tokenising.set()
            assert self.may_tokenise.wait(PATIENCE_S)
        return [*text.encode()]

    def encode_plain(self, text: str) -> list[int]:
        return self.encode(text)

    def spell(self, token: int) -> bytes:
        return bytes([token])

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
        written: int = 0,
    ) -> None:
        self.begun.append(key)
        self.left[key] = max_tokens

    def cancel(self, key: int) -> None:
        del self.left[key]

    def holds(self, key: int) -> bool:
        return key in self.held

    def progress(self) -> dict[str, int]:
        return {"step": self.steps} if self.left else {}

    def step(self) -> list[Delta]:
        if self.may_step is not None:
            assert self.may_step.acquire(timeout=PATIENCE_S)
        self.steps += 1
        for key in self.left:
            self.left[key] -= 1
        deltas = [
            Delta(key, b"x", 1, None if left else "length") for key, left in self.left.items()
        ]
        self.left = {key: left for key, left in self.left.items() if left}
        return deltas


class Parent:
    """The other end of a worker that runs in a thread."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._reader = FrameReader()
        self._frames: deque[frames.Frame] = deque()

    def send(self, *sent: frames.Frame) -> None:
        self._link.sendall(b"".join(map(encode, sent)))

    def submit(self, key: int, prompt: str, max_tokens: int) -> None:
        self.send(submit(key, prompt, max_tokens))

    def next(self) -> frames.Frame:
        while not self._frames:
            data = self._link.recv(1 << 16)
            assert data, "the worker is gone"
            self._frames += self._reader.feed(data)
        return self._frames.popleft()

    def until(self, kind: type[F]) -> F:
        """The next frame of a kind."""
        while not isinstance(frame := self.next(), kind):
            pass
        return frame

    def until_idle(self) -> None:
        while self.until(frames.Counters) != frames.Counters(0, 0, 0):
            pass


def submit(key: int, prompt: str, max_tokens: int) -> frames.Submit:
    return frames.Submit(key, prompt, max_tokens, Sampling(seed=1))


def refusal(key: int, error: Refusal) -> frames.Refused:
    return frames.Refused(key, error.kind.value, error.message, error.retry_after)


@contextmanager
def worker(runtime: Runtime, max_running: int = 8, max_waiting: int = 8) -> Iterator[Parent]:
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE_S)
    load = frames.Load(RuntimeOptions("", max_running), max_waiting)
    loop = StepLoop(ParentLink(theirs), load, LoadedModel(runtime))

    def run() -> None:
        with theirs, pytest.raises(ParentGone):
            loop.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Parent(ours)
    finally:
        ours.close()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture
def runtime() -> Iterator[Scripted]:
    runtime = Scripted()
    yield runtime
    runtime.may_tokenise.set()


def test_running_jobs_write_while_a_long_prompt_is_tokenised(runtime: Scripted) -> None:
    with worker(runtime) as parent:
        parent.submit(1, "short", 1_000_000)
        assert parent.until(frames.Accepted).key == 1
        parent.submit(2, LONG, 5)
        while not runtime.tokenising.is_set():
            parent.until(frames.Wrote)  # a full socket would stop the worker
        for _ in range(100):
            assert [key for key, *_ in parent.until(frames.Wrote).pieces] == [1]
        # Who comes later with a short prompt need not wait for it either.
        parent.submit(3, "short", 5)
        assert parent.until(frames.Accepted).key == 3
        runtime.may_tokenise.set()
        # Only now it is known that they are too many.
        assert parent.until(frames.Refused) == refusal(2, too_long(len(LONG), CONTEXT - 1))


@pytest.mark.parametrize("prompt", ["short", LONG])
def test_text_rejected_by_the_tokenizer_fails_only_its_job(runtime: Scripted, prompt: str) -> None:
    class Picky(Scripted):
        def encode(self, text: str) -> list[int]:
            if text == prompt:
                raise TextRefused("prompt: it has no break")
            return [*text.encode()]

    picky = Picky()
    picky.context, picky.kv_blocks = 200_000, 10_000
    with worker(picky) as parent:
        parent.submit(1, "hello", 1_000_000)
        assert parent.until(frames.Accepted).key == 1
        parent.submit(2, prompt, 5)
        assert parent.until(frames.Refused) == refusal(2, invalid("prompt: it has no break"))
        assert [key for key, *_ in parent.until(frames.Wrote).pieces] == [1]


def test_a_long_prompt_is_completed_like_any_other(runtime: Scripted) -> None:
    runtime.context, runtime.kv_blocks = 200_000, 10_000
    runtime.may_tokenise.set()
    with worker(runtime) as parent:
        # Once by a worker that has nothing else to do, and once beside another job.
        for key in (1, 2):
            parent.submit(key, LONG, 3)
            assert parent.until(frames.Accepted).key == key
            written = ""
            while len(written) < 3:
                pieces = parent.until(frames.Wrote).pieces
                written += "".join(text for writer, text, *_ in pieces if writer == key)
            assert written == "xxx"
            parent.submit(9, "short", 1_000_000)
            assert parent.until(frames.Accepted).key == 9
            parent.send(frames.Cancel(9))


def test_a_prompt_that_is_being_tokenised_counts_as_waiting(runtime: Scripted) -> None:
    with worker(runtime) as parent:
        parent.submit(1, LONG, 5)
        assert parent.until(frames.Counters) == frames.Counters(0, 1, 0)
        parent.send(frames.Cancel(1))
        assert parent.until(frames.Counters) == frames.Counters(0, 0, 0)
        runtime.may_tokenise.set()
        parent.submit(2, LONG, 5)
        assert parent.until(frames.Refused) == refusal(2, too_long(len(LONG), CONTEXT - 1))


def test_tokenising_prompts_are_limited_like_the_queue(runtime: Scripted) -> None:
    with worker(runtime, max_waiting=1) as parent:
        for key in (1, 2, 3):
            parent.submit(key, LONG, 5)
        assert parent.until(frames.Refused) == refusal(3, overloaded())


def test_long_prompts_and_queued_jobs_share_the_queue(runtime: Scripted) -> None:
    with worker(runtime, max_running=1, max_waiting=2) as parent:
        parent.submit(1, "short", 1_000_000)
        parent.until(frames.Wrote)
        parent.submit(2, "short", 5)
        parent.submit(3, LONG, 5)
        # Whatever its length, the next one has no place.
        for key, prompt in ((4, LONG), (5, "short")):
            parent.submit(key, prompt, 5)
            assert parent.until(frames.Refused) == refusal(key, overloaded())
        # One that gives up leaves its place to any other.
        parent.send(frames.Cancel(3))
        parent.submit(6, "short", 5)
        assert parent.until(frames.Accepted).key == 6
        parent.submit(7, LONG, 5)
        assert parent.until(frames.Refused) == refusal(7, overloaded())
        parent.send(frames.Cancel(2))
        parent.submit(8, LONG, 5)
        runtime.may_tokenise.set()
        assert parent.until(frames.Refused) == refusal(8, too_long(len(LONG), CONTEXT - 1))


def test_worker_ends_when_the_parent_closes_with_unread_frames(runtime: Scripted) -> None:
    with worker(runtime) as parent:
        parent.submit(1, "short", 1_000_000)
        parent.until(frames.Wrote)
        # What is written from here on is not read before the socket is closed.
        parent.submit(2, "short", 5)


def test_cancelled_job_is_removed_after_one_step(runtime: Scripted) -> None:
    permits = runtime.may_step = threading.Semaphore(0)
    with worker(runtime) as parent:
        parent.submit(1, "one", 1_000_000)
        parent.submit(2, "two", 1_000_000)
        permits.release()
        parent.until(frames.Wrote)
        parent.send(frames.Cancel(1), frames.Cancel(2))
        # One step may have begun before that was read, and the next one frees.
        permits.release(2)
        parent.until_idle()


def test_cancelled_job_keeps_its_place_while_the_runtime_holds_it(runtime: Scripted) -> None:
    permits = runtime.may_step = threading.Semaphore(0)
    runtime.held.add(1)
    with worker(runtime, max_running=1) as parent:
        parent.submit(1, "one", 1_000_000)
        permits.release()
        parent.until(frames.Wrote)
        parent.send(frames.Cancel(1))
        parent.submit(2, "two", 1)
        permits.release(4)
        assert parent.until(frames.Accepted).key == 2
        while runtime.steps < 4:
            pass
        assert runtime.begun == [1]
        runtime.held.clear()
        permits.release(4)
        parent.until_idle()
        assert runtime.begun == [1, 2]


def test_large_job_is_not_overtaken(runtime: Scripted) -> None:
    runtime.kv_blocks = 12
    with worker(runtime, max_running=3, max_waiting=20) as parent:
        sizes = [40, 300, 10, 200, 20, 30, 250]
        parent.send(*(submit(key, "x", size) for key, size in enumerate(sizes)))
        parent.until_idle()
        assert runtime.begun == [*range(len(sizes))]


class Counting:
    """A real runtime whose steps are counted."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.steps = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._runtime, name)

    def step(self) -> list[Delta]:
        self.steps += 1
        return self._runtime.step()


@pytest.fixture(scope="module")
def openvino() -> Runtime:
    pytest.importorskip("openvino_genai")
    from tenuto.engine.local.runtimes.openvino.runtime import OpenVinoRuntime

    return made(OpenVinoRuntime, RuntimeOptions(str(built_in_model()), 8, threads=1))


@pytest.mark.parametrize("together", [True, False])
def test_a_prefix_that_jobs_share_is_computed_once(openvino: Runtime, together: bool) -> None:
    story = "Once upon a time there was a fox. " * 150
    prompt = len(openvino.encode(story))
    assert 2 * 512 < prompt < 3 * 512
    begun = [f"{story}{key}" if together else f"{key}{story}" for key in range(6)]
    counting = Counting(openvino)
    with worker(counting) as parent:  # type: ignore[arg-type]  # it has them by __getattr__
        parent.send(*(submit(key, text, 1) for key, text in enumerate(begun)))
        parent.until_idle()
    if together:
        # The first in three parts, and the ends of all others at once.
        assert counting.steps <= 3 + 2
    else:
        assert counting.steps >= 6 * prompt // 512
