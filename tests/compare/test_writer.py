"""The file of comparisons."""

from __future__ import annotations

import json
from pathlib import Path
from time import time

from tenuto.compare.answer import Answer
from tenuto.compare.comparison import Pair, Purpose
from tenuto.compare.writer import ComparisonWriter, spent_today


def pair(number: int = 0, text: str = "a", at: float | None = None) -> Pair:
    at = time() if at is None else at
    answer = Answer(text=text, end="turn")
    return Pair(f"req_{number}", at, Purpose.SHADOW, "claude-2", answer, answer, spent=number)


def test_lines_are_whole_with_several_writers(tmp_path: Path) -> None:
    file = tmp_path / "file"
    writers = [ComparisonWriter(file, 1 << 20) for _ in range(4)]
    for number in range(200):
        writers[number % 4].add(pair(number))
    for writer in writers:
        writer.stop()

    ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    assert sorted(ids) == sorted(f"req_{number}" for number in range(200))
    assert sum(writer.written for writer in writers) == 200
    assert spent_today(file) == 199


def test_file_that_cannot_be_written_loses_comparisons_and_reports_it(tmp_path: Path) -> None:
    writer = ComparisonWriter(tmp_path / "missing" / "file", 1 << 20)
    writer.add(pair())
    writer.stop()

    assert writer.lost == 1
    assert "No such file" in writer.trouble


def test_waiting_comparisons_are_bounded_in_number_and_size(tmp_path: Path) -> None:
    writer = ComparisonWriter(tmp_path / "file", 1 << 30)
    for _ in range(1000):
        writer.add(pair(text="a"))
    assert writer.lost >= 1000 - 256 - writer.written
    assert writer.lost > 0
    writer.stop()

    large = ComparisonWriter(tmp_path / "large", 1 << 30)
    for _ in range(200):
        large.add(pair(text="a" * 200_000))
    assert large.lost > 100
    large.stop()


def test_tokens_of_other_days_and_lines_of_others_count_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert spent_today(file) == 0
    writer = ComparisonWriter(file, 1 << 20)
    writer.add(pair(7, at=1_577_836_800))
    writer.stop()
    with file.open("a") as opened:
        opened.write('garbage\n[1]\n{"at": 5}\n')

    assert spent_today(file) == 0
