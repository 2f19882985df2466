"""Requests and responses are not in the server's log, at any level."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compat import servers
from compat.questions import ASK
from compat.raw import Connection
from tenuto.server.auth import hash_key
from tests.conftest import PATIENCE_S, RunningServer

KEY = "sk-planted-key-71c5"
WRONG_KEY = "sk-planted-wrong-key-88e0"
PROMPT = "planted-prompt-5a2f"
USER = "planted-user-93bd"
STOP = "planted-stop-40aa"
FIELD = "planted_field_6e11"
PLANTED = (KEY, WRONG_KEY, PROMPT, USER, STOP, FIELD)

# Every logger says everything, whatever the server sets its level to.
SERVE = """
import logging, sys
logging.basicConfig(level=logging.DEBUG)
logging.Logger.isEnabledFor = lambda self, level: True
logging.Logger.setLevel = lambda self, level: None
from tenuto.cli.main import main
sys.exit(main(["serve", "--port", "0", *sys.argv[1:]]))
"""

SPOKEN = ASK | {
    "prompt": f"\n\nHuman: {PROMPT}\n\nAssistant:",
    "metadata": {"user_id": USER},
    "stop_sequences": [STOP],
}


@contextlib.contextmanager
def talkative_server(folder: Path, *arguments: str) -> Iterator[tuple[RunningServer, Path]]:
    """A server that logs all that it can, and the file with all that it wrote."""
    log = folder / "server.log"
    with (
        log.open("w", encoding="utf-8") as file,
        subprocess.Popen(
            [sys.executable, "-c", SERVE, *arguments], stdout=file, stderr=file, text=True
        ) as process,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_S
            while "Ready: " not in log.read_text("utf-8"):
                assert process.poll() is None, log.read_text("utf-8")
                assert time.monotonic() < deadline
                time.sleep(0.05)
            found = re.search(r"Listening on (\S+),", log.read_text("utf-8"))
            assert found
            yield RunningServer(process, found[1]), log
            # Told to end, it says what it has to say then, too.
            process.terminate()
            process.wait(PATIENCE_S)
        finally:
            process.kill()


def post(server: RunningServer, body: bytes, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{server.url}/v1/complete",
        data=body,
        headers={"anthropic-version": "2023-06-01", "x-api-key": KEY}
        | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def converse(server: RunningServer) -> list[str]:
    """All sorts of requests, right and wrong. Returns what was answered to the right ones."""
    plain = post(server, json.dumps(SPOKEN).encode())
    stream = post(server, json.dumps(SPOKEN | {"stream": True}).encode())
    assert (plain[0], stream[0]) == (200, 200)
    wrong: list[tuple[int, bytes, dict[str, str]]] = [
        (401, json.dumps(SPOKEN).encode(), {"x_api_key": WRONG_KEY}),
        (400, json.dumps(SPOKEN).encode(), {"anthropic_version": PROMPT}),
        (400, json.dumps(SPOKEN).encode()[:-9], {}),
        (400, json.dumps(SPOKEN | {FIELD: PROMPT}).encode(), {}),
        (400, json.dumps(SPOKEN | {"prompt": PROMPT}).encode(), {}),
        (400, json.dumps(SPOKEN | {"metadata": {"user_id": USER * 20}}).encode(), {}),
        (400, json.dumps(SPOKEN | {"stop_sequences": [STOP * 1000]}).encode(), {}),
        (400, json.dumps(SPOKEN | {"temperature": PROMPT}).encode(), {}),
    ]
    for status, body, headers in wrong:
        assert post(server, body, **headers)[0] == status
    malformed = Connection(server.url)
    malformed.send(f"POST /v1/{PROMPT} HTTP/1.1\r\nx-api-key: {KEY}\r\n{USER}\r\n\r\n".encode())
    malformed.receive()
    malformed.close()
    texts = [json.loads(plain[1])["completion"]]
    return [text for text in texts if len(text) > 8]


def leave(server: RunningServer, **fields: Any) -> None:
    connection = Connection(server.url)
    connection.ask(SPOKEN | {"stream": True} | fields, x_api_key=KEY)
    connection.read_until(b"event: completion")
    connection.close()


def assert_kept(log: Path, secrets: list[str]) -> None:
    text = log.read_text("utf-8")
    # Only the finest level says this: without it, nothing that follows would show anything.
    assert "HTTP connection made" in text
    assert [secret for secret in secrets if secret in text] == []


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "tenuto.toml"
    file.write_text(f'[server]\napi_keys = ["{hash_key(KEY)}"]\n', encoding="utf-8")
    return file


def test_echo_server_logs_no_secret(tmp_path: Path, settings: Path) -> None:
    settings.write_text(settings.read_text("utf-8") + servers.ECHO, encoding="utf-8")
    with talkative_server(tmp_path, "--config", str(settings)) as (server, log):
        answers = converse(server)
        assert PROMPT in answers[0]
    assert_kept(log, [*PLANTED, *answers])


def test_server_with_a_killed_worker_logs_no_secret(
    tmp_path: Path, settings: Path, endless_model: Path
) -> None:
    arguments = ("--config", str(settings), "--model", str(endless_model))
    with talkative_server(tmp_path, *arguments) as (server, log):
        answers = converse(server)
        leave(server, max_tokens_to_sample=2000)
        too_long = json.dumps(SPOKEN | {"prompt": SPOKEN["prompt"] * 2000}).encode()
        assert post(server, too_long)[0] == 400
        connection = Connection(server.url)
        connection.ask(SPOKEN | {"stream": True, "max_tokens_to_sample": 2000}, x_api_key=KEY)
        servers.kill_worker_at_work(server)
        connection.read_until(b"event: error")
        connection.close()
    assert "the engine's worker died" in log.read_text("utf-8")
    assert_kept(log, [*PLANTED, *answers])
