"""Separation of API keys in the prefix cache, with either runtime."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from pathlib import Path

import pytest

from benchmarks import tenants
from benchmarks.tenants import PrefixCache, Runtime
from tenuto.core.job import Caller, Finish, Job, Sampling
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.frames import Submit, ToWorker
from tenuto.engine.local.process import WorkerProcess
from tenuto.prompt.turns import parse_prompt
from tests.engine.contract import PROMPT, write
from tests.engine.local.test_engine import BOTH, of_runtime, started

pytestmark = pytest.mark.anyio


async def cached(engine: LocalEngine, key: str, prompt: str) -> int:
    usage = (
        await write(
            engine,
            Job(parse_prompt(prompt), 1, sampling=Sampling(temperature=0), caller=Caller(key=key)),
        )
    )[-1].usage
    assert usage is not None
    assert usage.cached_tokens is not None
    return usage.cached_tokens


async def test_fillers_take_no_slot_from_jobs(endless_model: Path) -> None:
    settings = of_runtime(
        "openvino",
        prefix_cache="per_key",
        model=endless_model,
        max_running=2,
        batch_tokens=48,
        kv_cache_mib=1,
    )
    engine = await started(settings)
    chooser = random.Random(6)
    try:
        jobs = [
            Job(parse_prompt(tenants.text(chooser)), 1 + n % 7, caller=Caller(key=str(n)))
            for n in range(24)
        ]
        for answer in await asyncio.gather(*(write(engine, job) for job in jobs[::2])):
            assert answer[-1].finish is Finish.LENGTH
        gone = [asyncio.create_task(write(engine, job)) for job in jobs[::3]]
        kept = [asyncio.create_task(write(engine, job)) for job in jobs[1::2]]
        await kept[0]
        for task in gone:
            task.cancel()
        for answer in await asyncio.gather(*kept):
            assert answer[-1].finish is Finish.LENGTH
    finally:
        await engine.aclose()


@pytest.mark.parametrize(
    ("prefix_cache", "same_finds", "other_finds"),
    [("shared", True, True), ("per_key", True, False), ("off", False, False)],
)
async def test_llamacpp_reports_cached_tokens_within_the_cache_scope(
    prefix_cache: PrefixCache, same_finds: bool, other_finds: bool
) -> None:
    engine = await started(of_runtime("llamacpp", prefix_cache=prefix_cache))
    chooser = random.Random(2)
    try:
        for _ in range(3):
            prompt = tenants.text(chooser)
            assert await cached(engine, "one", prompt) < 30
            same = await cached(engine, "one", prompt)
            assert same > 90 if same_finds else same == 0
            for key in ("two", ""):
                found = await cached(engine, key, prompt)
                # Otherwise it may find what all its own prompts begin with.
                assert found > 90 if other_finds else found < 30
                if prefix_cache == "per_key":
                    assert await cached(engine, key, prompt) > 90
    finally:
        await engine.aclose()


async def test_llamacpp_keeps_the_cache_of_each_key() -> None:
    engine = await started(of_runtime("llamacpp", prefix_cache="per_key", max_running=1))
    prompt = tenants.text(random.Random(3))
    try:
        assert await cached(engine, "one", prompt) == 0
        assert await cached(engine, "two", prompt) == 0
        for key in ("one", "two"):
            assert await cached(engine, key, prompt) > 90
    finally:
        await engine.aclose()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("prefix_cache", ["shared", "per_key"])
async def test_cache_of_a_cancelled_job_stays_with_its_key(
    endless_model: Path, prefix_cache: PrefixCache, early: bool
) -> None:
    settings = of_runtime(
        "llamacpp", prefix_cache=prefix_cache, max_running=1, batch_tokens=32, model=endless_model
    )
    engine = await started(settings)
    prompt = tenants.text(random.Random(4))
    try:
        async with aclosing(
            engine.generate(Job(parse_prompt(prompt), 100, caller=Caller(key="one")))
        ) as pieces:
            # The first piece says that the job is accepted; its prompt is still to be computed.
            async for piece in pieces:
                if early or piece.text:
                    break
        found = await cached(engine, "two", prompt)
        if prefix_cache == "per_key":
            assert found == 0
        elif not early:
            assert found > 90
    finally:
        await engine.aclose()


@BOTH
@pytest.mark.parametrize("prefix_cache", ["shared", "per_key"])
async def test_times_reveal_other_prompts_only_with_a_shared_cache(
    runtime: Runtime, prefix_cache: PrefixCache
) -> None:
    of_runtime(runtime)  # skips where it is missing
    with tenants.server(runtime, prefix_cache) as address:
        found = await tenants.measure(address, 40, loaded=False)
    p = tenants.sign_test([pair.other.first_ms - pair.same.first_ms for pair in found])
    if prefix_cache == "shared":
        assert p < 0.001
    else:
        # Chance alone gives less than 0.01 once in 100 runs.
        assert p > 1e-6


async def test_api_key_is_not_sent_to_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    send = WorkerProcess.send

    def record(worker: WorkerProcess, frame: ToWorker) -> None:
        sent.append(frame)
        send(worker, frame)

    monkeypatch.setattr(WorkerProcess, "send", record)
    engine = await started(of_runtime("llamacpp"))
    try:
        for key in ("sk-one", "sk-one", "sk-two", None):
            await write(engine, Job(PROMPT, 1, caller=Caller(key=key)))
    finally:
        await engine.aclose()
    assert "sk-one" not in repr(sent)
    one, again, two, none = [frame.tenant for frame in sent if isinstance(frame, Submit)]
    assert one == again != two
    assert none == ""


async def test_log_has_the_scope_of_the_prefix_cache(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    engine = await started(of_runtime("openvino", prefix_cache="per_key"))
    await engine.aclose()
    assert "prefix cache: off, because OpenVINO cannot keep API keys apart" in caplog.text
