"""curl, as people use it at a prompt."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compat.questions import ASK, ECHOED, Refusal, assert_echoed, assert_echoed_in_events
from compat.sse import events_of
from tests.conftest import PATIENCE_S, RunningServer

ROW = "curl"

VERSION = ("-H", "anthropic-version: 2023-06-01")


def curl(folder: Path, url: str, body: dict[str, Any], *options: str) -> str:
    data = folder / "body.json"
    data.write_text(json.dumps(body), encoding="utf-8")
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--noproxy", "*", f"{url}/v1/complete"),
            *("-H", "content-type: application/json", "--data-binary", f"@{data}", *options),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return done.stdout


@pytest.mark.feature("plain")
def test_curl_completes(tmp_path: Path, echo: RunningServer) -> None:
    assert_echoed(json.loads(curl(tmp_path, echo.url, ASK, *VERSION)))


@pytest.mark.feature("plain")
def test_body_declared_as_a_form_is_accepted(tmp_path: Path, echo: RunningServer) -> None:
    """A body declared as a form is accepted, because curl declares it so by default."""
    form = ("-H", "content-type: application/x-www-form-urlencoded")
    assert_echoed(json.loads(curl(tmp_path, echo.url, ASK, *VERSION, *form)))


@pytest.mark.feature("stream")
def test_curl_streams(tmp_path: Path, echo: RunningServer) -> None:
    text = curl(tmp_path, echo.url, ASK | {"stream": True}, "-N", *VERSION)
    assert_echoed_in_events([data for name, data in events_of(text) if name == "completion"])


@pytest.mark.feature("stream")
def test_text_is_printed_before_the_stream_ends(endless: RunningServer) -> None:
    body = json.dumps(ASK | {"stream": True, "max_tokens_to_sample": 2000})
    command = ["curl", "-sN", "--noproxy", "*", *VERSION, "-d", body]
    with subprocess.Popen(
        [*command, f"{endless.url}/v1/complete"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while b"event: completion" not in process.stdout.readline():
            pass
        assert endless.get("/ready")["running"] == 1
        process.kill()
    assert endless.wait_until_idle(2) < 2


@pytest.mark.feature("errors")
def test_refusal_has_the_documented_error(
    tmp_path: Path, refused: tuple[Refusal, str, dict[str, Any]]
) -> None:
    refusal, url, request = refused
    request["prompt"] += "x" * request.pop("pad", 0)
    status = "\n%{http_code}"
    body, _, code = curl(tmp_path, url, request, *VERSION, "-w", status).rpartition("\n")
    assert int(code) == refusal.status
    assert json.loads(body)["error"]["type"] == refusal.type


@pytest.mark.feature("errors")
def test_request_without_a_version_is_rejected(tmp_path: Path, echo: RunningServer) -> None:
    message = json.loads(curl(tmp_path, echo.url, ASK))["error"]["message"]
    assert message.startswith("anthropic-version: header is required")


@pytest.mark.feature("keys")
def test_key_is_accepted(tmp_path: Path, keyed: RunningServer, key: str) -> None:
    for header in (f"x-api-key: {key}", f"authorization: Bearer {key}"):
        answer = json.loads(curl(tmp_path, keyed.url, ASK, *VERSION, "-H", header))
        assert answer["completion"] == ECHOED
