"""What the embedded engine tells of tokens and their likelihood, with either runtime."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tenuto.engine.base import FieldRefused, Job, Piece, TokenLogprob, Usage
from tenuto.engine.local.engine import LocalEngine
from tenuto.engine.local.runtime.base import Written
from tenuto.engine.local.worker import _scored
from tests.engine.contract import PROMPT, write
from tests.engine.local.test_engine import LLAMA_CPP, SETTINGS, TAUGHT, started, text_of
from tests.model_files import with_template

pytestmark = pytest.mark.anyio

ASKS = Job(PROMPT, 30, seed=1, logprobs=0)


@pytest.fixture(scope="module", params=["openvino", "llamacpp"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[LocalEngine]:
    pytest.importorskip("openvino_genai" if request.param == "openvino" else "xllamacpp")
    engine = await started(replace(LLAMA_CPP, runtime=request.param))
    yield engine
    await engine.aclose()


def tokens_of(pieces: list[Piece]) -> list[TokenLogprob]:
    return [token for piece in pieces for token in piece.logprobs]


def usage_of(piece: Piece) -> Usage:
    assert piece.usage is not None
    return piece.usage


async def test_the_prompt_is_counted_at_once_and_the_completion_as_it_is_written(
    engine: LocalEngine,
) -> None:
    first, *others = await write(engine, Job(PROMPT, 30, seed=1))
    assert first.text == ""
    assert usage_of(first).output_tokens == 0
    prompt_tokens = usage_of(first).input_tokens
    assert prompt_tokens is not None
    assert 10 < prompt_tokens < 40
    written = 0
    for piece in others:
        written += piece.tokens
        assert usage_of(piece).input_tokens == prompt_tokens
        assert usage_of(piece).output_tokens == written
    assert written == 30


async def test_tokens_found_in_the_cache_are_told_where_the_runtime_knows(
    engine: LocalEngine,
) -> None:
    await write(engine, Job(PROMPT, 1))
    *_, last = await write(engine, Job(PROMPT, 1))
    usage = usage_of(last)
    known = engine._runtime == "llamacpp"
    assert usage.cached_tokens == (usage.input_tokens - 1 if known and usage.input_tokens else None)


async def test_tokens_stand_where_they_are_in_the_text(engine: LocalEngine) -> None:
    pieces = await write(engine, ASKS)
    text, tokens = text_of(pieces), tokens_of(pieces)
    assert len(tokens) > 20
    assert [text[token.start : token.end] for token in tokens] == [t.token for t in tokens]
    assert "".join(token.token for token in tokens) == text
    assert all(token.logprob is not None and token.logprob <= 0 for token in tokens)


async def test_nothing_is_told_unless_it_is_asked_for(engine: LocalEngine) -> None:
    asking, not_asking = await asyncio.gather(
        write(engine, ASKS), write(engine, replace(ASKS, logprobs=None))
    )
    assert tokens_of(asking)
    assert not tokens_of(not_asking)


async def test_asking_changes_nothing_of_the_text(engine: LocalEngine) -> None:
    await write(engine, ASKS)  # a cached prompt may differ from a new one in the last bits
    told = text_of(await write(engine, ASKS))
    assert told == text_of(await write(engine, replace(ASKS, logprobs=None)))


async def test_the_likeliest_tokens_are_told_or_refused(engine: LocalEngine) -> None:
    asks = replace(ASKS, logprobs=3)
    if engine._runtime == "openvino":
        with pytest.raises(FieldRefused, match="logprobs: Input should be less than or equal to 0"):
            await write(engine, asks)
        assert tokens_of(await write(engine, ASKS))
        return
    for token in tokens_of(await write(engine, asks)):
        assert 3 <= len(token.top) <= 4
        assert token.top[token.token] == token.logprob


async def test_both_runtimes_agree_on_what_is_likely() -> None:
    scores = []
    for runtime in ("openvino", "llamacpp"):
        pytest.importorskip("openvino_genai" if runtime == "openvino" else "xllamacpp")
        engine = await started(replace(LLAMA_CPP, runtime=runtime))
        tokens = tokens_of(await write(engine, replace(ASKS, temperature=0, max_tokens=6)))
        await engine.aclose()
        scores.append([(token.token, token.logprob) for token in tokens])
    ours, theirs = scores
    assert [token for token, _ in ours] == [token for token, _ in theirs]
    # Their caches keep numbers of 8 and of 16 bits.
    assert [score for _, score in ours] == pytest.approx([score for _, score in theirs], abs=0.2)


async def test_the_space_that_a_chat_begins_with_is_no_part_of_a_token(tmp_path: Path) -> None:
    path = with_template(tmp_path / "chat.gguf", TAUGHT + " ")
    engine = await started(replace(SETTINGS, model=path))
    try:
        pieces = await write(engine, replace(ASKS, temperature=0))
    finally:
        await engine.aclose()
    text, tokens = text_of(pieces), tokens_of(pieces)
    assert text.startswith(" ")
    assert [text[token.start : token.end] for token in tokens] == [t.token for t in tokens]


def test_a_token_that_could_not_come_has_no_log_probability_that_json_could_not_hold() -> None:
    never = Written(b"a", -math.inf, ((b"b", -0.5), (b"c", None), (b"a", -math.inf)))
    assert _scored(never, 3, 4) == ("a", 3, 4, None, {"b": -0.5})


async def test_what_it_can_do_is_known_before_its_model_is_loaded() -> None:
    assert (await LocalEngine(SETTINGS).ping()).extensions == ("seed", "logprobs")
