"""`tenuto cassette`."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.core.job import Job, Sampling
from tenuto.core.refusal import Refusal, overloaded
from tenuto.engine.base import Engine
from tenuto.engine.echo import EchoEngine
from tests.cassette.tapes import job_of, lines_of, pieces_of, recorded_by, replay_of, text_of
from tests.server.test_endpoint import ScriptedEngine

KEY = "sk-ant-api03-planted"


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A cassette with three lines, of which the last one is an error."""
    path = tmp_path / "a.jsonl"
    record(
        EchoEngine(),
        path,
        job_of("one \x1b[31mtwo\x9b three"),
        job_of("the colour red", sampling=Sampling(temperature=0.5)),
    )
    with pytest.raises(Refusal):
        record(ScriptedEngine(overloaded()), path, job_of("never"))
    return path


def record(engine: Engine, path: Path, *jobs: Job) -> None:
    recorded, recorder = recorded_by(engine, path)

    async def run() -> None:
        for job in jobs:
            await pieces_of(recorded, job)

    try:
        asyncio.run(run())
    finally:
        recorder.close()


def test_show_lists_recordings_and_cannot_control_the_terminal(
    tape: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cassette", "show", str(tape)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["LINE", "1", "2", "3"]
    assert "Human: one ?[31mtwo? three Assistant:" in lines[1]
    assert "overloaded" in lines[3]
    assert main(["cassette", "show", str(tape), "2"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == lines_of(tape)[1]
    assert main(["cassette", "show", str(tape), "9"]) == 2


def test_check_finds_damage_wrong_keys_and_secrets(
    tape: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cassette", "check", str(tape)]) == 0
    first, second, third = tape.read_text("utf-8").splitlines()
    edited = first.replace("two", "TWO")
    with_key = second.replace("colour", KEY)
    tape.write_text("\n".join((edited, with_key, third, '{"v":2}', second[:-30])), "utf-8")
    capsys.readouterr()
    assert main(["cassette", "check", str(tape)]) == 1
    out = capsys.readouterr().out
    assert [line.removeprefix(f"{tape}:") for line in out.splitlines()] == [
        "1: has a key that is not that of its request",
        "2: has a key that is not that of its request",
        "2: holds a secret: use `tenuto cassette scrub`",
        "4: is not of version 1 of the format",
        "5: is torn: it is not a whole JSON object",
    ]
    assert KEY not in out
    assert main(["cassette", "check", str(tape), "--scrub", "never"]) == 1
    assert "3: holds a secret" in capsys.readouterr().out


def test_scrub_removes_secrets_and_keeps_recordings_findable(
    tape: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tape.read_text("utf-8")
    tape.write_text(before.replace("colour", KEY) + before[:50], "utf-8")
    tape.chmod(0o644)
    assert main(["cassette", "scrub", str(tape), "--scrub", "red"]) == 0
    assert "1 of 3 recordings were changed, 1 damaged lines were left out." in (
        capsys.readouterr().err
    )
    assert KEY not in tape.read_text("utf-8")
    assert stat.S_IMODE(tape.stat().st_mode) == 0o600
    assert main(["cassette", "check", str(tape)]) == 0
    with replay_of(tape, "red") as replay:
        job = job_of(f"the {KEY} red", sampling=Sampling(temperature=0.5))
        assert asyncio.run(text_of(replay, job)) == " the [scrubbed] [scrubbed]"


def test_scrub_does_not_touch_a_cassette_that_a_server_writes(
    tape: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, recorder = recorded_by(EchoEngine(), tape)
    assert main(["cassette", "scrub", str(tape)]) == 2
    assert "a server records into this cassette" in capsys.readouterr().err
    recorder.close()


def test_merge_joins_by_time_and_keeps_equal_lines_once(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later, out = tmp_path / "later.jsonl", tmp_path / "out.jsonl"
    record(EchoEngine(), later, job_of("later"))
    assert main(["cassette", "merge", str(out), str(later), str(tape), str(tape)]) == 0
    assert "4 recordings are in" in capsys.readouterr().err
    assert out.read_bytes() == tape.read_bytes() + later.read_bytes()
    assert main(["cassette", "merge", str(out), str(later)]) == 2
    assert "exists" in capsys.readouterr().err
    assert not list(tmp_path.glob(".tenuto-*"))


@pytest.mark.parametrize("command", ["show", "check", "scrub"])
def test_missing_file_is_one_line_and_ends_with_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "nowhere.jsonl"
    for each in (path, tmp_path):
        assert main(["cassette", command, str(each)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"tenuto: {each}: ")
        assert error.count("\n") == 1
    assert not path.exists()


@pytest.mark.parametrize("command", ["show", "scrub"])
def test_file_of_another_kind_is_refused_and_stays(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "mine"}\n')

    assert main(["cassette", command, str(path)]) == 2

    assert "has no recording; is it a cassette?" in capsys.readouterr().err
    assert path.read_text() == '{"prompt": "mine"}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_scrub_writes_over_no_other_file_and_keeps_links(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, pipe, link = (tmp_path / name for name in ("other", "pipe", "link"))
    other.write_text("mine")
    os.mkfifo(pipe)
    link.symlink_to(tape)
    for target in (other, pipe):
        assert main(["cassette", "scrub", str(tape), "--out", str(target)]) == 2
        assert f"{target}: exists; write into a new file" in capsys.readouterr().err
    assert other.read_text() == "mine"

    assert main(["cassette", "scrub", str(link), "--scrub", "colour"]) == 0
    assert link.is_symlink()
    assert "colour" not in tape.read_text("utf-8")


def test_target_that_cannot_be_written_is_named(
    tape: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "none" / "out.jsonl"
    for arguments in (
        ["merge", str(target), str(tape)],
        ["scrub", str(tape), "--out", str(target)],
    ):
        assert main(["cassette", *arguments]) == 2
        assert capsys.readouterr().err == f"tenuto: {target}: No such file or directory\n"
