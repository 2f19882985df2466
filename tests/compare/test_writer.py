"""The file of comparisons."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from time import time

import pytest

from tenuto.compare.answer import Answer
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.rows import read_run
from tenuto.compare.writer import ComparisonWriter, spent_today


def pair(number: int = 0, text: str = "a", at: float | None = None) -> Pair:
    at = time() if at is None else at
    answer = Answer(text=text, end="turn")
    return Pair(f"req_{number}", at, Purpose.SHADOW, "claude-2", answer, answer, spent=number)


def added(writer: ComparisonWriter, one: Pair) -> None:
    writer.add(len(one.a.text) + len(one.b.text), lambda: one)


def written(writer: ComparisonWriter, one: Pair) -> None:
    """Write one comparison."""
    added(writer, one)
    writer.stop()


def test_lines_are_whole_with_several_writers(tmp_path: Path) -> None:
    file = tmp_path / "file"
    writers = [ComparisonWriter(file, 1 << 20) for _ in range(4)]
    for number in range(200):
        added(writers[number % 4], pair(number))
    for writer in writers:
        writer.stop()

    ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    assert sorted(ids) == sorted(f"req_{number}" for number in range(200))
    assert sum(writer.written for writer in writers) == 200
    assert spent_today(file) == 199


def test_file_that_cannot_be_written_loses_comparisons_and_reports_it(tmp_path: Path) -> None:
    writer = ComparisonWriter(tmp_path / "missing" / "file", 1 << 20)
    added(writer, pair())
    writer.stop()

    assert writer.lost == 1
    assert "No such file" in writer.trouble


def test_removed_file_is_made_again_and_a_folder_in_its_place_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    writer = ComparisonWriter(file, 1 << 20)
    written(writer, pair(1))
    file.unlink()
    written(writer, pair(2))
    assert json.loads(file.read_text())["id"] == "req_2"
    assert file.stat().st_mode & 0o777 == 0o600

    file.unlink()
    file.mkdir()
    written(writer, pair(3))
    assert (writer.lost, "directory" in writer.trouble) == (1, True)
    file.rmdir()
    written(writer, pair(4))
    assert (writer.lost, writer.trouble, json.loads(file.read_text())["id"]) == (1, "", "req_4")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_loses_comparisons_and_reports_it() -> None:
    writer = ComparisonWriter(Path("/dev/full"), 1 << 20)
    written(writer, pair())
    assert (writer.lost, writer.written) == (1, 0)
    assert "No space left" in writer.trouble


def test_line_that_a_full_disk_has_torn_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = tmp_path / "file", os.write
    writer = ComparisonWriter(file, 1 << 20)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
        written(writer, pair(1))
    assert (writer.lost, "No space left" in writer.trouble) == (1, True)
    written(writer, pair(2))
    written(writer, pair(3))

    run = read_run(file.read_text().splitlines())
    assert ([row.id for row in run.rows], run.invalid) == (["req_2", "req_3"], 1)


def test_named_pipe_without_a_reader_does_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = ComparisonWriter(pipe, 1 << 20)
    written(writer, pair())
    assert writer.lost == 1


def test_write_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.compare.writer._STOP_S", 0.1)
    goes_on, hangs = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        goes_on.wait(30)

    writer = ComparisonWriter(tmp_path / "file", 1 << 20)
    monkeypatch.setattr(writer, "_append", hang)
    added(writer, pair(1))
    assert hangs.wait(30)
    added(writer, pair(2))
    writer.stop()
    assert (writer.lost, "hangs" in writer.trouble) == (1, True)
    goes_on.set()


@pytest.mark.parametrize(("count", "chars"), [(512, 1), (42, 100_000)])
def test_burst_of_comparisons_is_written_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, chars: int
) -> None:
    monkeypatch.setattr("tenuto.compare.writer._EACH_S", 3600.0)
    writer, appended = ComparisonWriter(tmp_path / "file", 1 << 30), threading.Event()
    append = writer._append

    def note(data: bytes, lines: int) -> None:
        append(data, lines)
        appended.set()

    monkeypatch.setattr(writer, "_append", note)
    for number in range(count - 1):
        added(writer, pair(number, "a" * chars))
    assert not appended.wait(0.05)
    added(writer, pair(count, "a" * chars))
    assert appended.wait(30)
    writer.stop()
    assert (writer.written, writer.lost) == (count, 0)


def test_waiting_comparisons_are_bounded_in_number_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ComparisonWriter(tmp_path / "file", 1 << 30)
    goes_on = threading.Event()
    append = writer._append

    def wait(data: bytes, lines: int) -> None:
        assert goes_on.wait(30)
        append(data, lines)

    monkeypatch.setattr(writer, "_append", wait)
    for _ in range(1500):
        added(writer, pair(text="a"))
    # Up to 16 are on their way to the disk.
    assert 1500 - 1024 - 16 <= writer.lost <= 1500 - 1024
    goes_on.set()
    writer.stop()
    assert writer.written == 1500 - writer.lost

    goes_on.clear()
    large = ComparisonWriter(tmp_path / "large", 1 << 30)
    append = large._append
    monkeypatch.setattr(large, "_append", wait)
    for _ in range(200):
        added(large, pair(text="a" * 200_000))
    # 41 wait.
    assert 200 - 41 - 16 <= large.lost <= 200 - 41
    goes_on.set()
    large.stop()


def test_tokens_of_other_days_and_lines_of_others_count_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert spent_today(file) == 0
    writer = ComparisonWriter(file, 1 << 20)
    added(writer, pair(7, at=1_577_836_800))
    writer.stop()
    with file.open("a") as opened:
        opened.write('garbage\n[1]\n{"at": 5}\n')

    assert spent_today(file) == 0
