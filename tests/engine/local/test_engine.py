from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tenuto.engine.base import (
    EngineFailed,
    EngineOverloaded,
    Finish,
    Job,
    ModelError,
    Piece,
    PromptTooLong,
)
from tenuto.engine.local.engine import LocalEngine, built_in_model
from tenuto.prompt.turns import human_turn, parse_prompt, raw_prompt
from tenuto.settings import LocalSettings
from tests.conftest import PATIENCE_S
from tests.engine.contract import PROMPT, EngineContract, job, write

pytestmark = pytest.mark.anyio

SETTINGS = LocalSettings(load_wait_s=PATIENCE_S)


async def started(settings: LocalSettings = SETTINGS) -> LocalEngine:
    engine = LocalEngine(settings)
    await engine.start()
    await engine.ready()
    return engine


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[LocalEngine]:
    """For all tests that leave it as they found it."""
    engine = await started()
    yield engine
    await engine.aclose()


@pytest.fixture
async def mortal() -> AsyncIterator[LocalEngine]:
    """For a test that closes it, or kills its worker."""
    engine = await started()
    yield engine
    await engine.aclose()


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


class TestLocalKeepsTheContract(EngineContract):
    @pytest.fixture(scope="module")
    async def engine(self, engine: LocalEngine) -> LocalEngine:
        return engine

    @pytest.fixture
    async def mortal(self, mortal: LocalEngine) -> LocalEngine:
        return mortal


async def test_jobs_without_a_seed_differ(engine: LocalEngine) -> None:
    texts = {text_of(await write(engine, job(24, seed=None))) for _ in range(6)}
    assert len(texts) > 1


async def test_temperature_0_always_takes_the_likeliest_token(engine: LocalEngine) -> None:
    greedy = [Job(PROMPT, 24, temperature=0, seed=seed) for seed in range(4)]
    await write(engine, greedy[0])  # Fills the prefix cache.
    assert len({text_of(await write(engine, each)) for each in greedy}) == 1


@pytest.mark.parametrize("fields", [{"top_p": 0.0}, {"top_k": 1}, {"top_p": 0.0, "top_k": 5}])
async def test_the_narrowest_sampling_is_greedy(
    engine: LocalEngine, fields: dict[str, float]
) -> None:
    wanted = Job(PROMPT, 24, temperature=0)
    await write(engine, wanted)
    narrow = Job(PROMPT, 24, seed=5, **fields)  # type: ignore[arg-type]
    assert text_of(await write(engine, narrow)) == text_of(await write(engine, wanted))


@pytest.mark.parametrize(
    "fields", [{"top_k": 2**64}, {"top_k": 10**30}, {"temperature": 1e-300}, {"top_p": 1e-300}]
)
async def test_no_sampling_value_is_too_odd(engine: LocalEngine, fields: dict[str, float]) -> None:
    odd = Job(PROMPT, 4, **fields)  # type: ignore[arg-type]
    assert (await write(engine, odd))[-1].finish is not None
    assert (await engine.ping()).restarts == 0


async def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
    engine: LocalEngine,
) -> None:
    context = (await engine.ping()).context
    prompt = raw_prompt("one two three " * context)
    with pytest.raises(PromptTooLong) as caught:
        await write(engine, Job(prompt, 1))
    assert caught.value.limit == context - 1
    assert caught.value.tokens > context


async def test_a_hopelessly_long_prompt_is_refused_without_reading_it(engine: LocalEngine) -> None:
    with pytest.raises(PromptTooLong):
        await asyncio.wait_for(write(engine, Job(raw_prompt("x" * 30_000_000), 1)), 20)


async def test_more_tokens_than_the_context_holds_are_capped(engine: LocalEngine) -> None:
    context = (await engine.ping()).context
    long_prompt = raw_prompt("word " * (context - 40))
    pieces = await write(engine, Job(long_prompt, 10**9, temperature=0))
    assert pieces[-1].finish in (Finish.LENGTH, Finish.END)
    assert sum(piece.tokens for piece in pieces) < 60


@pytest.mark.parametrize("text", ["\0", "a\0b", "\n\nHuman: 😀é漢\n\nAssistant:", " ", "\ufffd"])
async def test_any_text_can_be_completed(engine: LocalEngine, text: str) -> None:
    assert (await write(engine, Job(raw_prompt(text), 4)))[-1].finish is not None


async def test_a_full_queue_refuses_as_overloaded() -> None:
    settings = LocalSettings(max_running=1, max_waiting=1, load_wait_s=PATIENCE_S)
    engine = await started(settings)
    jobs = [engine.generate(job(400)) for _ in range(3)]
    try:
        await anext(jobs[0])
        await anext(jobs[1])
        with pytest.raises(EngineOverloaded):
            await anext(jobs[2])
        async with asyncio.timeout(PATIENCE_S):
            while (status := await engine.ping()).waiting != 1:
                await asyncio.sleep(0.002)
        assert status.running == 1
    finally:
        for each in jobs:
            await each.aclose()
        await engine.aclose()


async def test_more_jobs_than_the_cache_holds_wait_and_all_end_whole() -> None:
    # Room for two completions of this length: the others wait, and none is cut short.
    engine = await started(LocalSettings(kv_cache_mib=1, load_wait_s=PATIENCE_S))
    try:
        assert (await engine.ping()).kv_blocks < 64
        wanted = [Job(PROMPT, 300, seed=seed) for seed in range(12)]
        for pieces in await asyncio.gather(*(write(engine, each) for each in wanted)):
            written = sum(piece.tokens for piece in pieces)
            assert pieces[-1].finish is Finish.END or written == 300
    finally:
        await engine.aclose()


def worker_pid(engine: LocalEngine) -> int:
    assert engine._worker is not None
    return engine._worker.pid


async def test_a_killed_worker_fails_its_jobs_and_is_replaced(mortal: LocalEngine) -> None:
    running = [mortal.generate(job(2000, seed=seed)) for seed in range(4)]
    for each in running:
        await anext(each)
    os.kill(worker_pid(mortal), signal.SIGKILL)
    for each in running:
        with pytest.raises(EngineFailed):
            async for _ in each:
                pass
    assert (await write(mortal, job()))[-1].finish is not None
    assert (await mortal.ping()).restarts == 1


async def test_a_worker_ends_with_its_engine(mortal: LocalEngine) -> None:
    pid = worker_pid(mortal)
    await mortal.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_job_waits_for_a_model_that_is_still_loading() -> None:
    engine = LocalEngine(SETTINGS)
    await engine.start()
    try:
        assert not (await engine.ping()).ready
        assert (await write(engine, job()))[-1].finish is not None
    finally:
        await engine.aclose()


async def test_a_job_does_not_wait_for_ever() -> None:
    engine = LocalEngine(LocalSettings(load_wait_s=0.0))
    await engine.start()
    try:
        with pytest.raises(EngineOverloaded, match="still loading"):
            await write(engine, job())
    finally:
        await engine.aclose()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ModelError, match=r"nowhere\.gguf: there is no such file"):
        LocalEngine(LocalSettings(model=Path("nowhere.gguf")))


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        LocalEngine(LocalSettings(model=tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.5, 0.99])
def test_a_truncated_file_is_refused_before_it_is_loaded(tmp_path: Path, share: float) -> None:
    whole = built_in_model().read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"half\.gguf: (the file is truncated|not a GGUF)"):
        LocalEngine(LocalSettings(model=path))


async def test_a_file_that_the_runtime_refuses_is_an_error_for_all(tmp_path: Path) -> None:
    # A sound file of an architecture that nobody knows.
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(b"llama", b"zzama"))
    engine = LocalEngine(LocalSettings(model=path))
    await engine.start()
    try:
        with pytest.raises(ModelError, match=r"odd\.gguf"):
            await engine.ready()
        with pytest.raises(ModelError):
            await write(engine, Job(parse_prompt(human_turn("hi")), 5))
        status = await engine.ping()
        assert not status.ready
        assert status.detail == "The model cannot be loaded; the log says why."
    finally:
        await engine.aclose()
