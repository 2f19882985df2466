from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tenuto.core.job import Job
from tenuto.engine.echo import EchoEngine
from tenuto.prompt.turns import human_turn, parse_prompt
from tests.engine.contract import EngineContract, write


class TestEchoContract(EngineContract):
    @pytest.fixture(scope="module")
    async def engine(self) -> AsyncIterator[EchoEngine]:
        engine = EchoEngine()
        await engine.start()
        yield engine
        await engine.aclose()

    @pytest.fixture
    async def mortal(self) -> EchoEngine:
        return EchoEngine()


@pytest.mark.anyio
async def test_echo_returns_the_last_human_turn() -> None:
    prompt = parse_prompt("\n\nHuman: one" + human_turn("two  words\nhere"))
    pieces = await write(EchoEngine(), Job(prompt, 100))
    assert "".join(piece.text for piece in pieces) == " two  words\nhere"
