"""Traces of a server in a process of its own, at a receiver on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import running_server
from tests.operations.tracing.receiver import receiver

KEY = "sk-planted-key"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SERVER, INTERNAL = 2, 1


def ask(url: str, **fields: object) -> dict[str, object]:
    body = {
        "model": "claude-2.1",
        "prompt": "\n\nHuman: planted-prompt two three\n\nAssistant:",
        "max_tokens_to_sample": 100,
    } | fields
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "traceparent": PARENT}
    request = urllib.request.Request(f"{url}/v1/complete", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        text = response.read()
        return {} if fields.get("stream") else json.loads(text)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "tenuto.toml"
    path.write_text(
        '[engine]\nname = "echo"\n[api]\nextensions = true\n[store]\nurl = "sqlite:///store.db"\n'
    )
    return path


def test_receiver_gets_the_figures_of_a_run(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with running_server("--config", str(settings)) as server:
            answers = [ask(server.url, max_tokens_to_sample=count) for count in (1, 2, 3, 4) * 5]
            for _ in range(5):
                ask(server.url, stream=True)
            with pytest.raises(urllib.error.HTTPError):
                ask(server.url, prompt="planted-prompt")
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(20) == 0
            log = "".join(server.log)
        ledger = usage_of(settings)
    spans = collector.spans
    requests = [span for span in spans if span.kind == SERVER]
    tries = [span for span in spans if span.kind == INTERNAL]
    assert Counter(span.attributes["tenuto.outcome"] for span in requests) == {
        "max_tokens": 15,
        "stop_sequence": 10,
        "invalid_request_error": 1,
    }
    assert len(tries) == ledger["requests"] == 25
    for name in ("input_tokens", "output_tokens"):
        assert sum(span.attributes[f"gen_ai.usage.{name}"] for span in tries) == ledger[name] > 0
    assert {span.parent_id for span in tries} < {span.span_id for span in requests}
    assert {span.trace_id for span in spans} == {PARENT.split("-")[1]}
    assert spans[0].resource["service.name"] == "tenuto"
    assert spans[0].resource["deployment.environment.name"] == "test"
    assert len(answers) == 20
    assert b"planted" not in b"".join(collector.bodies)
    assert "tenuto.trace" not in log


def usage_of(settings: Path) -> dict[str, int]:
    command = [sys.executable, "-m", "tenuto", "usage", "--by", "model", "--json"]
    printed = subprocess.run(
        [*command, "--config", str(settings)], capture_output=True, text=True, check=True
    )
    (row,) = json.loads(printed.stdout)["rows"]
    return {name: row[name] for name in ("requests", "input_tokens", "output_tokens")}


def test_unreachable_receiver_harms_no_request(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with running_server("--config", str(settings)) as server:
        for _ in range(20):
            assert ask(server.url)["completion"] == " planted-prompt two three"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        lines = [line for line in server.log if "tenuto.trace" in line]
    assert "spans cannot be sent to 127.0.0.1:9" in lines[0]
    assert "spans that could not be sent and are lost: 40" in lines[1]
    assert len(lines) == 2


def test_missing_library_is_one_line_in_the_log(
    settings: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "opentelemetry.py").write_text('raise ImportError(name="opentelemetry")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with running_server("--config", str(settings)) as server:
        assert ask(server.url)["completion"] == " planted-prompt two three"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    # The line comes before the server is ready, so that it is not in the rest of the log.
    program = (
        "import logging, os; logging.basicConfig(); "
        "from tenuto.server.tracing import tracing_of; assert tracing_of(os.environ) is None"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert "requests are not traced" in done.stderr
    assert done.stderr.rstrip().endswith("pip install '.[otel]'")
