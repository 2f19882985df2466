"""A worker that is started before its engine exists becomes the engine's, or ends."""

from __future__ import annotations

import gc
import select
from collections.abc import Sequence

import pytest

from tenuto.core.refusal import ModelError
from tenuto.engine import registry
from tenuto.engine.local import launch as module
from tenuto.engine.local.launch import Launched
from tenuto.settings import EngineSettings, LocalSettings
from tests.conftest import PATIENCE_S

pytestmark = pytest.mark.anyio


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Launched]:
    """All workers that are started early."""
    found: list[Launched] = []
    launch = module.launch

    def recorded(*command: Sequence[str]) -> Launched:
        found.append(launch(*command))
        return found[-1]

    monkeypatch.setattr(module, "launch", recorded)
    return found


async def test_launched_worker_serves_the_engine(launches: list[Launched]) -> None:
    engine = registry.create(EngineSettings(), at_once=True)
    launched = launches[0]
    await engine.start()
    try:
        await engine.ready()
        assert launched.process.poll() is None
        assert engine.health().restarts == 0
    finally:
        await engine.aclose()
    assert launched.process.returncode is not None
    assert launches == [launched]


async def test_model_loads_before_the_engine_is_started(launches: list[Launched]) -> None:
    engine = registry.create(EngineSettings(), at_once=True)
    ready, _, _ = select.select([launches[0].socket], [], [], PATIENCE_S)
    assert ready
    await engine.start()
    try:
        await engine.ready()
        assert engine.health().restarts == 0
    finally:
        await engine.aclose()


async def test_launched_worker_that_died_is_replaced(launches: list[Launched]) -> None:
    engine = registry.create(EngineSettings(), at_once=True)
    launches[0].process.kill()
    launches[0].process.wait()
    await engine.start()
    try:
        await engine.ready()
    finally:
        await engine.aclose()


def test_launched_worker_ends_with_an_engine_that_is_never_started(
    launches: list[Launched],
) -> None:
    engine = registry.create(EngineSettings(), at_once=True)
    process = launches[0].process
    assert process.poll() is None

    del engine
    gc.collect()

    assert process.returncode is not None


def test_launched_worker_ends_if_the_model_is_missing(launches: list[Launched]) -> None:
    settings = EngineSettings(local=LocalSettings(model="/nowhere/model.gguf"))

    with pytest.raises(ModelError):
        registry.create(settings, at_once=True)

    assert launches[0].process.returncode is not None


def test_other_engine_starts_no_worker(launches: list[Launched]) -> None:
    registry.create(EngineSettings(name="echo"), at_once=True)

    assert launches == []
