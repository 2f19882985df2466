"""Copies of requests of a running server: its end, and the disk."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.conftest import PATIENCE_S, running_server

BODY = {
    "model": "claude-2",
    "prompt": "\n\nHuman: one two three\n\nAssistant:",
    "max_tokens_to_sample": 9,
}
HEADERS = {"anthropic-version": "2023-06-01"}
SETTINGS = """
[engine]
name = "routes"
[engine.upstreams.present]
kind = "tenuto"
base_url = "{present}"
[engine.upstreams.candidate]
kind = "tenuto"
base_url = "http://127.0.0.1:{candidate}"
[[engine.routes]]
models = ["*"]
to = ["present"]
[engine.shadow]
to = "candidate"
file = "{file}"
share = 1.0
"""


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of an upstream that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_end_of_a_server_does_not_wait_for_copies_that_hang(tmp_path: Path, silent: int) -> None:
    echo, settings = tmp_path / "echo.toml", tmp_path / "tenuto.toml"
    echo.write_text('[engine]\nname = "echo"\n')
    with running_server("--config", str(echo)) as present:
        text = SETTINGS.format(present=present.url, candidate=silent, file=tmp_path / "run.jsonl")
        settings.write_text(text)
        with running_server("--config", str(settings)) as server:
            for stream in (False, True, False, True, False, True):
                answer = httpx2.post(
                    f"{server.url}/v1/complete",
                    json={**BODY, "stream": stream},
                    headers=HEADERS,
                    timeout=PATIENCE_S,
                )
                assert answer.status_code == 200
                assert " three" in answer.text
            # Their limit is 120 s.
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(PATIENCE_S) == 0
            assert time.monotonic() - began < 30
    assert not [line for line in server.log if "ERROR" in line], server.log
