"""Exchanges that are written while an engine answers."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tenuto.cassette.edits import findings_of
from tenuto.cassette.file import CassetteError, CassetteFile
from tenuto.cassette.index import scrubber_of
from tenuto.cassette.recording import RecordingEngine, recording
from tenuto.core.job import Caller, Finish, Job, Piece, TokenLogprob
from tenuto.core.refusal import Kind, Refusal, overloaded
from tenuto.core.spoiling import Spoiling
from tenuto.engine.base import CountsInput
from tenuto.engine.echo import EchoEngine
from tenuto.engine.registry import create, rerouted
from tenuto.engine.upstream.kinds.tenuto import TenutoUpstream
from tenuto.settings import EngineSettings
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
from tests.server.test_endpoint import ScriptedEngine

pytestmark = pytest.mark.anyio

KEY = "sk-ant-api03-planted"


async def test_planted_key_is_nowhere_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    letters = [Piece(letter, 1) for letter in f" The key is {KEY}."]
    spelt = TokenLogprob(KEY, 0, 3, -0.5, {KEY: -0.5})
    engine = ScriptedEngine(
        Piece(""), *letters, Piece("", logprobs=(spelt,)), Piece("", finish=Finish.END)
    )
    recorded, recorder = recorded_by(engine, path)
    job = job_of(f"My key is {KEY}", KEY, user_id=KEY, caller=Caller("id", "the-callers-own"))
    assert KEY in await text_of(recorded, job_of("free of keys"))
    await pieces_of(recorded, job)
    failing = ScriptedEngine(overloaded(f"Bearer {KEY}, the-callers-own"))
    with refused(Kind.OVERLOADED):
        await pieces_of(recording(failing, recorder), job)
    recorder.close()
    data = path.read_bytes()
    assert len(data.splitlines()) == 3
    assert b"planted" not in data
    assert b"the-callers-own" not in data


async def test_exchange_is_in_the_file_before_its_last_piece_is_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    async for piece in recorded.generate(job_of()):
        assert len(lines_of(path)) == (piece.finish is not None)
    recorder.close()


async def test_text_that_a_stop_sequence_ends_is_recorded_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    pieces = recorded.generate(job_of("one two three", "two"))
    async for piece in pieces:
        if "two" in piece.text:
            break
    await pieces.aclose()
    recorder.close()
    [line] = lines_of(path)
    assert line["finish"] == {"stop_reason": "stop_sequence", "stop": "two"}
    assert [piece[1] for piece in line["pieces"]] == ["", " one", " two"]


async def test_completion_that_its_caller_leaves_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    pieces = recorded.generate(job_of())
    await anext(pieces)
    await anext(pieces)
    await pieces.aclose()
    recorder.close()
    assert lines_of(path) == []


async def test_error_is_recorded_with_the_text_before_it_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    engine = ScriptedEngine(Piece(""), Piece(" half", 1), overloaded("busy", 7))
    recorded, recorder = recorded_by(engine, path)
    with refused(Kind.OVERLOADED):
        await pieces_of(recorded, job_of())
    recorder.close()
    with replay_of(path) as replay:
        pieces = replay.generate(job_of())
        assert [(await anext(pieces)).text for _ in range(2)] == ["", " half"]
        with refused(Kind.OVERLOADED, "busy") as raised:
            await anext(pieces)
    assert raised.value.retry_after == 7


async def test_errors_of_the_servers_end_are_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    pieces = recorded.generate(job_of())
    await anext(pieces)
    await recorded.aclose()
    with refused(Kind.FAILED):
        await anext(pieces)
    recorder.close()
    assert lines_of(path) == []


class ReversingEngine(EchoEngine):
    """An engine whose first of several jobs ends last. Each writes the number of its start."""

    def __init__(self, jobs: int) -> None:
        super().__init__()
        self.ends = [asyncio.Event() for _ in range(jobs)]
        self.started = 0

    async def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        number = self.started
        self.started += 1
        yield Piece("")
        yield Piece(f" {number}", 1)
        if number < len(self.ends) - 1:
            await self.ends[number + 1].wait()
        self.ends[number].set()
        yield Piece("", finish=Finish.END)


async def test_interleaved_equal_requests_are_replayed_in_the_order_of_their_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(ReversingEngine(5), path)
    async with asyncio.timeout(20):
        texts = await asyncio.gather(*(text_of(recorded, job_of()) for _ in range(5)))
    recorder.close()
    assert texts == [f" {number}" for number in range(5)]
    assert lines_of(path)[0]["pieces"][1][1] == " 4"
    with replay_of(path) as replay:
        assert [await text_of(replay, job_of()) for _ in range(5)] == texts
        with refused(Kind.INVALID, "recorded 5 times"):
            await pieces_of(replay, job_of())


async def test_two_hundred_streams_at_once_give_two_hundred_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    await asyncio.gather(*(text_of(recorded, job_of(f"word {n}")) for n in range(200)))
    recorder.close()
    assert len({line["key"] for line in lines_of(path)}) == 200


async def test_full_disk_stops_no_completion_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    recorded, recorder = recorded_by(EchoEngine(), path)
    write, room = os.write, [300]

    def until_full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", until_full)
        assert await text_of(recorded, job_of("torn")) == " torn"
    assert await text_of(recorded, job_of("whole")) == " whole"
    recorder.close()
    assert (recorder.written, recorder.failed) == (1, 1)
    with replay_of(path) as replay:
        assert await text_of(replay, job_of("whole")) == " whole"
        assert replay.health().detail.startswith("Replays a.jsonl: recordings 1,")


async def test_torn_last_line_is_left_out_and_a_later_recording_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for text in ("one", "two", "three"):
        recorded, recorder = recorded_by(EchoEngine(), path)
        await pieces_of(recorded, job_of(text))
        recorder.close()
        if text == "two":
            # As after a loss of power.
            os.truncate(path, path.stat().st_size - 20)
    with replay_of(path) as replay:
        assert await text_of(replay, job_of("one")) == " one"
        assert await text_of(replay, job_of("three")) == " three"
        with refused(Kind.INVALID, "no recording"):
            await pieces_of(replay, job_of("two"))


async def test_file_is_for_its_owner_alone_and_for_one_process(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.touch(0o644)
    recorder = recorder_of(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CassetteError, match="another process writes"):
        CassetteFile(path)
    recorder.close()
    with pytest.raises(CassetteError, match="not a regular file"):
        CassetteFile(Path("/dev/null"))


async def test_reloaded_routes_are_recorded_into_the_same_file(tmp_path: Path) -> None:
    def routes(name: str) -> EngineSettings:
        upstream = TenutoUpstream(base_url="http://127.0.0.1:9")
        return EngineSettings("routes", upstreams={name: upstream})

    recorded, recorder = recorded_by(create(routes("old")), tmp_path / "a.jsonl")
    rerouting = rerouted(recorded, routes("new"))
    rerouting.begin()
    assert list(recorded.health().upstreams) == ["old"]
    assert list(rerouting.engine.health().upstreams) == ["new"]
    assert isinstance(rerouting.engine, RecordingEngine)
    rerouting.retire()
    await recorded.aclose()
    recorder.close()


async def test_recording_engine_counts_prompts_if_the_other_does(tmp_path: Path) -> None:
    counting, recorder = recorded_by(EchoEngine(), tmp_path / "a.jsonl")
    assert isinstance(counting, CountsInput)
    assert await counting.count_input(job_of("one").prompt) == 3
    recorder.close()


async def test_spoiled_exchange_is_taken_out_also_amid_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    engine, recorder = recorded_by(EchoEngine(), path)
    first, second, third = (Spoiling() for _ in range(3))
    for spoiling, text in ((first, "one"), (second, "two"), (third, "three")):
        await pieces_of(engine, job_of(text, spoiling=spoiling))
    for spoiling, left in ((first, ["two", "three"]), (third, ["two"])):
        spoiling.spoil()
        await pieces_of(engine, job_of("more"))
        assert [line["request"]["prompt"].split()[1] for line in lines_of(path)][
            : len(left)
        ] == left
    recorder.close()

    assert recorder.written == len(lines_of(path)) == 3
    with replay_of(path) as replay:
        assert await text_of(replay, job_of("two")) == " two"
        with pytest.raises(Refusal):
            await text_of(replay, job_of("one"))
    assert list(findings_of(path, scrubber_of(()))) == []


async def test_exchange_that_is_spoiled_before_its_end_is_not_written(tmp_path: Path) -> None:
    engine, recorder = recorded_by(EchoEngine(), tmp_path / "a.jsonl")
    spoiling = Spoiling()
    spoiling.spoil()
    await pieces_of(engine, job_of("one", spoiling=spoiling))
    recorder.close()

    assert (recorder.written, lines_of(tmp_path / "a.jsonl")) == (0, [])
