"""Replays without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pytest

from tenuto.cassette.recording import recording
from tenuto.core.job import Finish, Job, Piece
from tenuto.core.refusal import Kind
from tenuto.core.spoiling import Spoiling
from tenuto.engine.echo import EchoEngine
from tests.cassette.tapes import (
    job_of,
    lines_of,
    pieces_of,
    recorded_by,
    recorder_of,
    replay_of,
    text_of,
)
from tests.refusals import refused

pytestmark = pytest.mark.anyio

HAND_WRITTEN = {
    "v": 1,
    "request": {
        "model": "claude-2",
        "prompt": job_of("hi").prompt.text,
        "max_tokens_to_sample": 100,
    },
    "pieces": [[0, " Hello"], [40, " there"]],
    "finish": {"stop_reason": "max_tokens", "stop": None},
    "usage": {"input_tokens": 3, "output_tokens": 2},
}


class SlowEngine(EchoEngine):
    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        yield Piece("")
        for pause, text in ((0.03, " a"), (0.12, " b"), (0.0, " c"), (0.06, " d")):
            await asyncio.sleep(pause)
            yield Piece(text, 1)
        yield Piece("", finish=Finish.END)


async def test_hand_written_line_is_a_whole_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(HAND_WRITTEN))
    with replay_of(path) as replay:
        pieces = await pieces_of(replay, job_of("hi"))
    assert [piece.text for piece in pieces] == ["", " Hello", " there"]
    assert pieces[-1].finish is Finish.LENGTH
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.input_tokens == 3


async def test_times_are_within_20_ms_of_the_recorded_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(SlowEngine(), path)
    await pieces_of(recorded, job_of())
    recorder.close()
    expected = [ms for ms, *_ in lines_of(path)[0]["pieces"]]
    best = 1e9
    # The machine may be busy for longer than that once, but not five times.
    for _ in range(5):
        with replay_of(path, speed=1.0) as replay:
            start = perf_counter()
            times = [(perf_counter() - start) * 1000 async for _ in replay.generate(job_of())]
        differences = [abs(a - b) for a, b in zip(times, expected, strict=True)]
        best = min(best, max(differences))
    assert best < 20


async def test_speed_divides_the_times_and_0_is_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(HAND_WRITTEN | {"pieces": [[0, ""], [200, " x"], [400, ""]]}))
    took = {}
    for speed in (0.0, 2.0):
        with replay_of(path, speed=speed) as replay:
            start = perf_counter()
            await pieces_of(replay, job_of("hi"))
            took[speed] = perf_counter() - start
    assert took[0.0] < 0.19 < took[2.0]


async def test_request_scrubbed_by_the_same_pattern_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path, r"\d{4}-\d\d-\d\d")
    await pieces_of(recorded, job_of("today is 2023-01-02, key sk-ant-one"))
    recorder.close()
    assert "2023" not in json.dumps(lines_of(path)[0]["request"])
    later = job_of("today is 2026-11-27, key sk-ant-two")
    with replay_of(path, r"\d{4}-\d\d-\d\d") as replay:
        assert "today is [scrubbed], key [scrubbed]" in await text_of(replay, later)
    with replay_of(path) as replay, refused(Kind.INVALID, "a pattern of --scrub that this server"):
        await pieces_of(replay, later)


async def test_pattern_added_after_the_recording_still_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    await pieces_of(recorded, job_of("on day 17"))
    recorder.close()
    with replay_of(path, r"\d+") as replay:
        assert await text_of(replay, job_of("on day 18")) == " on day 17"


async def test_long_prompt_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    job = job_of("word " * 100_000)
    recorded, recorder = recorded_by(EchoEngine(), path)
    await pieces_of(recorded, job)
    recorder.close()
    with replay_of(path) as replay:
        assert (await text_of(replay, job)).count("word") == 100
        with refused(Kind.INVALID, "differ from character 500004") as raised:
            await pieces_of(replay, job_of("word " * 99_999 + "end"))
    assert len(raised.value.message) < 400


async def test_nearest_is_the_one_with_the_fewest_differences(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    for job in (job_of("a cat sat"), job_of("a dog sat", most=5), job_of("a dog sat")):
        await pieces_of(recorded, job)
    recorder.close()
    with replay_of(path) as replay:
        with refused(Kind.INVALID, "nearest is line 3 .*`stop_sequences` was .. there, and is"):
            await pieces_of(replay, job_of("a dog sat", "x"))
        with refused(Kind.INVALID, "nearest is line 1 .*differ from character"):
            await pieces_of(replay, job_of("a cat sits"))


async def test_miss_may_be_answered_by_an_engine_and_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorder = recorder_of(path)
    inner = recording(EchoEngine(), recorder)
    with replay_of(path, inner=inner) as replay:
        assert await text_of(replay, job_of("new")) == " new"
        assert replay.counts.missed == 1
    recorder.close()
    with replay_of(path) as replay:
        assert await text_of(replay, job_of("new")) == " new"


async def test_closed_engine_ends_running_replays_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(HAND_WRITTEN | {"pieces": [[0, ""], [60_000, " x"]]}))
    with replay_of(path, speed=1.0) as replay:
        pieces = replay.generate(job_of("hi"))
        await anext(pieces)
        assert replay.health().running == 1
        waiting = asyncio.ensure_future(anext(pieces))
        await asyncio.sleep(0)
        await replay.aclose()
        async with asyncio.timeout(10):
            with refused(Kind.FAILED):
                await waiting
        with refused(Kind.FAILED):
            await pieces_of(replay, job_of("hi"))
    assert replay.health().running == 0


async def test_recording_that_its_caller_left_is_replayed_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    await pieces_of(recorded, job_of())
    recorder.close()
    with replay_of(path) as replay:
        pieces = replay.generate(job_of())
        for _ in range(3):
            await anext(pieces)
        await pieces.aclose()
        assert replay.counts.replayed == 0
        assert await text_of(replay, job_of()) == " one two three"
        with refused(Kind.INVALID, "replayed as often"):
            await pieces_of(replay, job_of())
    assert replay.counts.replayed == 1


async def test_recordings_that_are_spoiled_together_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = [
        HAND_WRITTEN
        | {"at": f"2026-11-27T10:00:0{number}Z", "pieces": [[0, ""], [0, f" {number}"]]}
        for number in range(3)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    spoilings = [Spoiling(), Spoiling()]
    jobs = [replace(job_of("hi"), spoiling=each) for each in spoilings]
    with replay_of(path) as replay:
        assert [await text_of(replay, job) for job in jobs] == [" 0", " 1"]
        for each in spoilings:
            each.spoil()
            each.spoil()
        assert replay.counts.replayed == 0
        assert [await text_of(replay, job_of("hi")) for _ in range(3)] == [" 0", " 1", " 2"]


async def test_models_are_those_of_the_cassette(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    await pieces_of(recorded, job_of())
    recorder.close()
    with replay_of(path) as replay:
        assert replay.capabilities.names() == ("claude-2", "echo")
