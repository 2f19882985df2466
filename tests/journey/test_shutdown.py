"""The end of a server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.conftest import PATIENCE_S, running_server
from tests.journey.test_many_streams import STORY, worker_of

HEADERS = {"anthropic-version": "2023-06-01"}


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} outlived its parent")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_streams_finish_and_exits_with_0(
    name: signal.Signals, endless_model: Path
) -> None:
    with running_server("--model", str(endless_model)) as server:
        worker = worker_of(server)
        body = STORY | {"max_tokens_to_sample": 150}
        with httpx2.stream(
            "POST", server.url + "/v1/complete", json=body, headers=HEADERS, timeout=PATIENCE_S
        ) as response:
            lines = response.iter_lines()
            next(lines)
            server.process.send_signal(name)
            last = [line for line in lines if line.startswith("data: ")][-1]
        assert '"stop_reason":"max_tokens"' in last
        assert server.process.wait(PATIENCE_S) == 0
        assert_gone(worker)


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_worker_ignores_signals_to_the_whole_group(
    name: signal.Signals, endless_model: Path
) -> None:
    with running_server("--model", str(endless_model)) as server:
        os.kill(worker_of(server), name)
        body = STORY | {"max_tokens_to_sample": 50, "stream": False}
        answer = httpx2.post(
            server.url + "/v1/complete", json=body, headers=HEADERS, timeout=PATIENCE_S
        )
        assert answer.json()["stop_reason"] == "max_tokens"
        assert server.get("/ready")["restarts"] == 0


def test_after_the_grace_time_streams_end_with_an_error(endless_model: Path) -> None:
    with running_server("--grace", "0", "--model", str(endless_model)) as server:
        body = STORY | {"max_tokens_to_sample": 2000}
        with httpx2.stream(
            "POST", server.url + "/v1/complete", json=body, headers=HEADERS, timeout=PATIENCE_S
        ) as response:
            lines = response.iter_lines()
            next(lines)
            server.process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line.startswith("data: ")][-1]
        assert "shutting down" in last
        assert server.process.wait(PATIENCE_S) == 0


def test_worker_exits_when_the_server_is_killed() -> None:
    with running_server() as doomed:
        worker = worker_of(doomed)
        doomed.process.kill()
        doomed.process.wait(5)
        assert_gone(worker)


def test_port_in_use_is_a_one_line_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "tenuto", "serve", "--port", port],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (f"tenuto: cannot listen on 127.0.0.1:{port}: Address already in use\n")
