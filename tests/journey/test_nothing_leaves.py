"""Tenuto sends nothing to third parties: no command reaches a host or file of its own accord."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from tenuto.engine.local.model_file import built_in_model
from tests.models.hub_server import HubRepo, hub_server
from tests.observed import Observation, Observed

ROOT = Path(__file__).parents[2]
TENUTO = ("-m", "tenuto")
CLIENT = r"""
from tenuto import Anthropic
with Anthropic(engine="local") as client:
    print(client.completions.create(
        model="m", max_tokens_to_sample=3, prompt="\n\nHuman: Hi\n\nAssistant:"
    ).completion)
"""


@pytest.fixture
def observation(tmp_path: Path) -> Observation:
    return Observation(tmp_path)


def assert_nothing_left(seen: Observed) -> None:
    assert (seen.lookups, seen.connections, seen.files) == (set(), set(), set()), seen.output


def test_complete_connects_to_no_other_host(observation: Observation) -> None:
    seen = observation.run(*TENUTO, "complete", "hi", "--json")

    assert json.loads(seen.output)["type"] == "completion"
    assert_nothing_left(seen)


@pytest.mark.parametrize(
    ("arguments", "prints"),
    [
        (("models",), r"tenuto-mini"),
        (("config",), r"\[server\]"),
        (("keys", "new"), r"sha256:"),
        (("--help",), r"complete"),
        (("bench", "--requests", "1", "--concurrency", "1", "--max-tokens", "3"), r"tok"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_commands_connect_to_no_other_host(
    observation: Observation, arguments: tuple[str, ...], prints: str
) -> None:
    seen = observation.run(*TENUTO, *arguments)

    assert re.search(prints, seen.output)
    assert_nothing_left(seen)


def test_embedded_client_connects_to_no_other_host(observation: Observation) -> None:
    seen = observation.run("-c", CLIENT)

    assert seen.output.strip()
    assert_nothing_left(seen)


@pytest.mark.parametrize("runtime", ["openvino", "llamacpp"])
def test_server_connects_to_no_other_host(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip("openvino_genai" if runtime == "openvino" else "xllamacpp")
    # The ledger is the only thing that a server leaves behind.
    observation = Observation(tmp_path, own=(".cache/tenuto", ".local/state/tenuto"))
    chosen = {"TENUTO_ENGINE_LOCAL_RUNTIME": runtime}
    with observation.start(*TENUTO, "serve", "--port", "0", environment=chosen) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ready"):
                break
        (url,) = re.findall(r"Listening on (\S+),", "".join(lines))
        body = {"model": "m", "max_tokens_to_sample": 3, "prompt": "\n\nHuman: Hi\n\nAssistant:"}
        headers = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
        request = urllib.request.Request(url + "/v1/complete", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            assert json.load(response)["type"] == "completion"
        process.send_signal(signal.SIGTERM)
        lines += process.stdout
    assert process.returncode == 0, "".join(lines)
    assert f"runs on {runtime}" in "".join(lines)
    assert_nothing_left(observation.observed("".join(lines)))
    names = {path.name for path in (observation.home / ".local/state/tenuto").iterdir()}
    assert names <= {"store.db", "store.db-wal", "store.db-shm"}


@pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="the extra is not installed")
def test_download_requests_only_the_model_from_the_hub(
    observation: Observation,
) -> None:
    with hub_server() as hub:
        hub.repos["o/r"] = HubRepo({"m-Q8_0.gguf": built_in_model().read_bytes()})
        # What the hub's library takes for a program that it is to report.
        variables = {"HF_ENDPOINT": hub.url, "NO_PROXY": "*", "AI_AGENT": "some-agent"}
        seen = observation.run(*TENUTO, "pull", "o/r", environment=variables)

    assert "o/r" in seen.output
    assert {request.path.split("/")[1] for request in hub.requests} == {"api", "o", "store"}
    assert {r.path for r in hub.requests if r.path.startswith("/api")} == {"/api/models/o/r"}
    assert "some-agent" not in "".join(request.user_agent for request in hub.requests)
    assert_nothing_left(seen)


def test_connections_of_a_reporting_program_are_observed(observation: Observation) -> None:
    # Or else these tests would pass whatever happens.
    reports = r"""
import os, pathlib, socket, subprocess, sys
child = '''
import socket
try: socket.getaddrinfo("statistics.example", 443)
except OSError: pass
with socket.socket() as s:
    s.settimeout(0.1)
    try: s.connect(("192.0.2.1", 443))
    except OSError: pass
'''
subprocess.run([sys.executable, "-c", child], check=True)
(pathlib.Path.home() / "id").write_text("1")
"""
    seen = observation.run("-c", reports)

    assert seen.lookups == {"statistics.example"}
    assert "192.0.2.1:443" in seen.connections
    assert seen.files == {str(observation.home / "id")}


@pytest.mark.parametrize("folder", ["src", "benchmarks", "training", "fuzz", "compat", "tests"])
def test_openvino_is_imported_only_where_its_telemetry_is_disabled(folder: str) -> None:
    door = ROOT / "src/tenuto/engine/local/runtimes/openvino/library.py"
    pattern = re.compile(r"^\s*(?:import|from) (?:\w+, )*openvino(?:_genai)?\b", re.MULTILINE)
    found = [path for path in (ROOT / folder).rglob("*.py") if pattern.search(path.read_text())]

    assert found == ([door] if folder == "src" else [])
