"""Tests for every engine. A test module subclasses `EngineContract` and provides an engine."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tenuto.core.job import Finish, Job, Piece, Sampling
from tenuto.core.refusal import Refusal
from tenuto.engine.base import Engine
from tenuto.prompt.turns import human_turn, parse_prompt

PROMPT = parse_prompt(human_turn("Tell me a story about a fox who lost a red hat."))


def job(max_tokens: int = 12, seed: int | None = 1) -> Job:
    return Job(PROMPT, max_tokens, sampling=Sampling(seed=seed))


async def write(engine: Engine, job: Job) -> list[Piece]:
    return [piece async for piece in engine.generate(job)]


@pytest.mark.anyio
class EngineContract:
    """Tests that any engine passes. Subclasses override the fixture `engine`."""

    @pytest.fixture(scope="module")
    async def engine(self) -> Engine:
        """A started engine, for all tests that leave it as they found it."""
        raise NotImplementedError

    @pytest.fixture
    async def mortal(self) -> Engine:
        """A started engine for one test, which may close it."""
        raise NotImplementedError

    async def test_first_piece_reports_the_acceptance(self, engine: Engine) -> None:
        pieces = await write(engine, job())
        assert pieces[0] == Piece("")

    async def test_only_the_last_piece_has_the_finish_reason(self, engine: Engine) -> None:
        pieces = await write(engine, job())
        assert [piece.finish is None for piece in pieces] == [True] * (len(pieces) - 1) + [False]

    async def test_max_tokens_are_never_exceeded(self, engine: Engine) -> None:
        for most in (1, 2, 5):
            pieces = await write(engine, job(most))
            assert sum(piece.tokens for piece in pieces) == most
            assert pieces[-1].finish is Finish.LENGTH

    async def test_same_seed_returns_the_same_text(self, engine: Engine) -> None:
        # The very first run of a prompt may differ from later ones, which find it in the cache.
        await write(engine, job())
        first, second = [await write(engine, job()) for _ in range(2)]
        assert "".join(p.text for p in first) == "".join(p.text for p in second)

    async def test_closing_the_generator_frees_its_slot(self, engine: Engine) -> None:
        async with aclosing(engine.generate(job(500))) as pieces:
            async for piece in pieces:
                if piece.text:
                    break
        await self.idle(engine)

    async def test_cancelling_before_the_first_token_frees_its_slot(self, engine: Engine) -> None:
        task = asyncio.create_task(write(engine, job(500)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await self.idle(engine)

    async def test_jobs_run_at_the_same_time(self, engine: Engine) -> None:
        texts = await asyncio.gather(*(write(engine, job(seed=seed)) for seed in range(8)))
        assert all(pieces[-1].finish is not None for pieces in texts)

    async def test_jobs_write_concurrently(self, engine: Engine) -> None:
        # Each of both writes while the other has not ended.
        async with (
            aclosing(engine.generate(job(1500))) as one,
            aclosing(engine.generate(job(1500, seed=2))) as other,
        ):
            for pieces in (one, other, one, other):
                async for piece in pieces:
                    assert piece.finish is None
                    if piece.text:
                        break

    async def test_closed_engine_rejects_jobs(self, mortal: Engine) -> None:
        await mortal.aclose()
        with pytest.raises(Refusal):
            await write(mortal, job())

    async def test_closing_ends_running_jobs_with_an_error(self, mortal: Engine) -> None:
        pieces = mortal.generate(job(500))
        await anext(pieces)
        await mortal.aclose()
        with pytest.raises(Refusal):
            async for _ in pieces:
                pass

    @staticmethod
    async def idle(engine: Engine) -> None:
        async with asyncio.timeout(0.25):
            while True:
                status = engine.health()
                if not (status.running or status.waiting or status.kv_blocks_reserved):
                    return
                await asyncio.sleep(0.002)
