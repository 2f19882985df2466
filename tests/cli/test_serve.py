"""`tenuto serve`: failed starts and the first log lines; `tests/journey` has the rest."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.engine.local.model_file import built_in_model
from tests.conftest import PATIENCE_S


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tenuto", "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.7])
def test_truncated_model_is_a_one_line_error(tmp_path: Path, share: float) -> None:
    whole = built_in_model().read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    done = serve("--model", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"tenuto: {path}: ")
    assert done.stderr.count("\n") == 1


def test_model_rejected_by_the_runtime_ends_the_server(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(b"llama", b"zzama"))
    done = serve("--model", str(path))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"tenuto: {path}: ")
    assert "Traceback" not in done.stderr


@pytest.fixture
def ending_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a folder of its own, `tenuto serve` ends where it would begin to answer."""

    async def end(
        _: object, engine: object, listener: socket.socket, *__: object, **___: object
    ) -> None:
        listener.close()

    monkeypatch.setattr("tenuto.server.serve.serve", end)
    monkeypatch.setenv("TENUTO_ENGINE_NAME", "echo")
    monkeypatch.setenv("TENUTO_SERVER_PORT", "0")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("ending_at_once")
@pytest.mark.parametrize(
    ("there", "arguments", "named"),
    [
        ("tenuto.toml", [], "tenuto.toml"),
        ("other.toml", ["--config", "other.toml"], "other.toml"),
        ("other.toml", [], None),
    ],
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_settings_file_is_the_first_line_of_the_log(
    there: str,
    arguments: list[str],
    named: str | None,
    log_format: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / there).write_text("[limits]\nmax_stop_sequences = 7\n")
    monkeypatch.setenv("TENUTO_LOG_FORMAT", log_format)
    assert main(["serve", *arguments]) == 0
    lines = capfd.readouterr().err.splitlines()
    if log_format == "json":
        lines = [json.loads(line)["message"] for line in lines]
    expected = ["Settings are read from", "Listening on", "Stopped."][0 if named else 1 :]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected
    assert (f"Settings are read from {tmp_path / str(named)}." in lines) == bool(named)
