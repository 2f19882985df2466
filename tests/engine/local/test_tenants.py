"""Who finds whose prompts in the prefix cache, with either runtime."""

from __future__ import annotations

import random

import pytest

from benchmarks import tenants
from benchmarks.tenants import PrefixCache, ask
from tenuto.engine.base import Job
from tenuto.engine.local.engine import LocalEngine
from tests.engine.contract import PROMPT
from tests.engine.local.test_engine import BOTH, Library, of_runtime, started

pytestmark = pytest.mark.anyio


async def cached(engine: LocalEngine, key: str, prompt: str) -> int:
    _, tokens = await ask(engine, key, prompt)
    assert tokens is not None
    return tokens


@pytest.mark.parametrize(
    ("prefix_cache", "same_finds", "other_finds"),
    [("shared", True, True), ("per_key", True, False), ("off", False, False)],
)
async def test_llamacpp_counts_tokens_as_cached_for_those_who_may_find_them(
    prefix_cache: PrefixCache, same_finds: bool, other_finds: bool
) -> None:
    engine = await started(of_runtime("llamacpp", prefix_cache=prefix_cache))
    chooser = random.Random(2)
    try:
        for _ in range(3):
            prompt = tenants.text(chooser)
            assert await cached(engine, "one", prompt) < 30
            same = await cached(engine, "one", prompt)
            assert same > 200 if same_finds else same == 0
            for key in ("two", ""):
                found = await cached(engine, key, prompt)
                # Otherwise it may find what all its own prompts begin with.
                assert found > 200 if other_finds else found < 30
                if prefix_cache == "per_key":
                    assert await cached(engine, key, prompt) > 200
    finally:
        await engine.aclose()


async def test_llamacpp_keeps_keys_apart_when_they_need_more_slots_than_there_are() -> None:
    engine = await started(of_runtime("llamacpp", prefix_cache="per_key", max_running=1))
    prompt = tenants.text(random.Random(3))
    try:
        for key in ("one", "two", "", "one"):
            assert await cached(engine, key, prompt) == 0
        assert await cached(engine, "one", prompt) > 200
    finally:
        await engine.aclose()


@BOTH
@pytest.mark.parametrize("prefix_cache", ["shared", "per_key"])
async def test_times_tell_what_others_asked_only_where_the_cache_is_shared(
    runtime: Library, prefix_cache: PrefixCache
) -> None:
    of_runtime(runtime)  # skips where it is missing
    found = await tenants.differences(runtime, prefix_cache, 40)
    p = tenants.sign_test(found)
    if prefix_cache == "shared":
        assert p < 0.001
    else:
        assert p > 1e-6


async def test_the_worker_is_not_told_the_key() -> None:
    engine = await started(of_runtime("llamacpp"))
    try:
        one = engine._submit(0, Job(PROMPT, 1, key="sk-one"), False)
        again = engine._submit(1, Job(PROMPT, 1, key="sk-one"), False)
        two = engine._submit(2, Job(PROMPT, 1, key="sk-two"), False)
        assert one.tenant == again.tenant != two.tenant
        assert "sk-one" not in repr(one)
        assert engine._submit(3, Job(PROMPT, 1), False).tenant == ""
    finally:
        await engine.aclose()


async def test_the_log_says_who_shares_the_cache(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    engine = await started(of_runtime("openvino", prefix_cache="per_key"))
    await engine.aclose()
    assert "prefix cache: off, because OpenVINO cannot keep API keys apart" in caplog.text
