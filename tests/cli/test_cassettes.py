"""`tenuto serve --record` and `--replay`."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx2
import pytest

from tenuto.cli.main import main
from tests.conftest import PATIENCE_S, RunningServer, running_server

KEY = "sk-ant-api03-planted"
HEADERS = {"anthropic-version": "2023-06-01", "x-api-key": KEY}


def ask(server: RunningServer, text: str) -> httpx2.Response:
    body = {
        "model": "claude-2",
        "prompt": f"\n\nHuman: {text}\n\nAssistant:",
        "max_tokens_to_sample": 9,
    }
    return httpx2.post(f"{server.url}/v1/complete", json=body, headers=HEADERS, timeout=PATIENCE_S)


def stopped(server: RunningServer) -> int:
    server.process.send_signal(signal.SIGINT)
    return server.process.wait(PATIENCE_S)


@pytest.fixture
def echo(tmp_path: Path) -> str:
    """A settings file."""
    path = tmp_path / "tenuto.toml"
    path.write_text('[engine]\nname = "echo"\n')
    return str(path)


def test_recorded_completions_are_replayed_without_a_model_and_misses_end_with_1(
    tmp_path: Path, echo: str
) -> None:
    tape = str(tmp_path / "a.jsonl")
    with running_server("--config", echo, "--record", tape, "--scrub", "day [0-9]+") as server:
        first = ask(server, f"on day 17 use {KEY}")
        assert stopped(server) == 0
    assert "Recorded exchanges: 1.\n" in server.log
    assert KEY not in Path(tape).read_text()
    # The engine of these settings could not start.
    broken = tmp_path / "broken.toml"
    broken.write_text('[engine.local]\nmodel = "/nowhere.gguf"\n')
    arguments = ("--config", str(broken), "--replay", tape, "--scrub", "day [0-9]+")
    with running_server(*arguments) as server:
        second = ask(server, f"on day 18 use {KEY}")
        ready = server.get("/ready")
        assert stopped(server) == 0
    assert first.json()["completion"] == f" on day 17 use {KEY}"
    assert second.json()["completion"] == " on [scrubbed] use [scrubbed]"
    assert second.headers["tenuto-upstream"] == "replay"
    assert ready["ready"]
    assert ready["detail"] == "Replays a.jsonl: recordings 1, replayed 1, misses 0."
    with running_server(*arguments) as server:
        assert ask(server, "another question").status_code == 400
        assert stopped(server) == 1
    assert server.log[-1] == "tenuto: --replay: requests without a recording in a.jsonl: 1\n"


def test_missing_recordings_are_added_with_on_miss_record(tmp_path: Path, echo: str) -> None:
    tape = str(tmp_path / "a.jsonl")
    with running_server("--config", echo, "--replay", tape, "--on-miss", "record") as server:
        assert ask(server, "one").json()["completion"] == " one"
        assert stopped(server) == 0
    assert len(Path(tape).read_text().splitlines()) == 1


def test_killed_server_has_recorded_all_that_its_callers_saw(tmp_path: Path, echo: str) -> None:
    tape = tmp_path / "a.jsonl"
    with running_server("--config", echo, "--record", str(tape)) as server:
        for number in range(20):
            ask(server, f"question {number}")
        server.process.kill()
        server.process.wait(PATIENCE_S)
    lines = tape.read_bytes().splitlines()
    assert [json.loads(line)["request"]["prompt"].split()[2] for line in lines] == [
        str(number) for number in range(20)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--record", "a", "--replay", "a"], "--record: cannot be used with --replay"),
        (
            ["--record", "a", "--workers", "2"],
            "--record: a cassette belongs to one process; use --workers 1, not 2\n",
        ),
        (
            ["--replay", "a", "--workers", "2"],
            "--replay: a cassette belongs to one process; use --workers 1, not 2\n",
        ),
        (["--replay-speed", "1"], "--replay-speed: needs --replay"),
        (["--on-miss", "record"], "--on-miss: needs --replay"),
        (["--scrub", "x"], "--scrub: needs --record or --replay"),
        (["--record", "a", "--scrub", "("], "'(' is no regular expression"),
        (["--record", "a", "--scrub", "x*"], "'x*' matches the empty text"),
        (["--replay", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--record", "/nowhere/a"], "/nowhere/a: No such file"),
        (["--record", "/dev/null"], "/dev/null: is not a regular file"),
    ],
)
def test_wrong_use_is_one_line_and_ends_with_2(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    assert main(["serve", "--port", "0", *arguments]) == 2
    error = capfd.readouterr().err
    assert error.startswith(f"tenuto: {message}")
    assert error.count("\n") == 1
