"""Tenuto in front of servers that really run: llama.cpp's own, and another Tenuto."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from tests.conftest import FREED_S, LONG_TOKENS, PATIENCE_S, RunningServer, running_server

HI = "\n\nHuman: What is the capital of France?\n\nAssistant:"
VERSION = {"anthropic-version": "2023-06-01"}
FIELDS: dict[str, Any] = {"max_tokens_to_sample": 30, "temperature": 0}

# What the model says, whatever it is asked; after a prefill it goes on where that ends.
WHOLE = " The capital of France is Paris."

# The turns as Text Completions has them, so that all three APIs send the model the same.
TEMPLATE = (
    "{% for m in messages %}{{ '\n\n' + ('Human: ' if m.role == 'user' else 'Assistant: ') "
    "+ m.content }}{% endfor %}{{ '\n\nAssistant:' if add_generation_prompt }}"
)
LLAMA = """
import sys, time, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.chat_template = sys.argv[1:]
params.use_jinja, params.verbosity = True, 1
params.n_ctx, params.n_parallel, params.port = 4096, 2, 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def llama(capital_model: Path) -> Iterator[str]:
    """Run llama.cpp's server with a model of known text; yield its address."""
    command = [sys.executable, "-c", LLAMA, str(capital_model), TEMPLATE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def gateway(
    llama: str, capital_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Run Tenuto with both upstreams, each with its own model name."""
    file = tmp_path_factory.mktemp("gateway") / "tenuto.toml"
    file.write_text(
        f"""
[engine]
name = "routes"

[engine.upstreams.raw]
kind = "openai"
base_url = "{llama}/v1"

[engine.upstreams.chat]
kind = "openai"
base_url = "{llama}"
chat = true
takes_prefill = true

[engine.upstreams.messages]
kind = "messages"
base_url = "{llama}"
takes_sampling = true

[engine.upstreams.tenuto]
kind = "tenuto"
base_url = "{capital_server.url}"

[[engine.routes]]
models = ["raw"]
to = ["raw"]

[[engine.routes]]
models = ["chat"]
to = ["chat"]

[[engine.routes]]
models = ["messages"]
to = ["messages"]

[[engine.routes]]
models = ["claude-*"]
to = ["tenuto"]
"""
    )
    with running_server("--config", str(file)) as started:
        yield started


@pytest.fixture(scope="module")
def far(
    long_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Run Tenuto in front of a Tenuto with long completions."""
    file = tmp_path_factory.mktemp("far") / "tenuto.toml"
    file.write_text(
        '[engine]\nname = "routes"\n[engine.upstreams.far]\nkind = "tenuto"\n'
        f'base_url = "{long_server.url}"\n'
    )
    with running_server("--config", str(file)) as started:
        yield started


def complete(url: str, model: str, prompt: str = HI, **fields: Any) -> anthropic.types.Completion:
    """Complete through the official client, the last with Text Completions."""
    with anthropic.Anthropic(base_url=url, api_key="x", max_retries=0) as client:
        body: dict[str, Any] = FIELDS | {"model": model, "prompt": prompt} | fields
        if not fields.get("stream"):
            whole: anthropic.types.Completion = client.completions.create(**body)
            return whole
        events: list[anthropic.types.Completion] = list(client.completions.create(**body))
        text = "".join(event.completion for event in events)
        return events[-1].model_copy(update={"completion": text})


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["raw", "chat", "messages"])
def test_llama_cpp_completes_through_each_of_its_apis(
    gateway: RunningServer, llama: str, model: str, streamed: bool
) -> None:
    fields_sent = {"prompt": HI, "max_tokens": 30, "temperature": 0, "stop": ["\n\nHuman:"]}
    itself = httpx2.post(f"{llama}/v1/completions", json=fields_sent, timeout=PATIENCE_S).json()
    text = itself["choices"][0]["text"]
    assert text == WHOLE
    answer = complete(gateway.url, model, stream=streamed)
    assert answer.completion == WHOLE
    assert answer.stop_reason == "stop_sequence"


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("model", ["raw", "chat", "messages"])
def test_stops_token_limits_and_prefills_work_through_llama_cpp(
    gateway: RunningServer, model: str, streamed: bool
) -> None:
    short = complete(gateway.url, model, max_tokens_to_sample=2, stream=streamed)
    assert short.stop_reason == "max_tokens"
    cut = complete(gateway.url, model, stop_sequences=["aris"], stream=streamed)
    assert (cut.completion, cut.stop_reason) == (WHOLE.partition("aris")[0], "stop_sequence")
    assert getattr(cut, "stop", None) == "aris"
    if model != "messages":
        begun = complete(gateway.url, model, HI + " The capital of", stream=streamed)
        assert begun.completion == " France is Paris."


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_completion_through_another_tenuto_is_the_same(
    gateway: RunningServer, capital_server: RunningServer, streamed: bool
) -> None:
    for fields in ({}, {"stop_sequences": ["aris"]}, {"max_tokens_to_sample": 2}):
        fields_sent: dict[str, Any] = fields | {"stream": streamed}
        itself = complete(capital_server.url, "claude-2.1", **fields_sent)
        through = complete(gateway.url, "claude-2.1", **fields_sent)
        for name in ("completion", "stop_reason", "stop", "model"):
            assert getattr(through, name) == getattr(itself, name)


@pytest.mark.parametrize("leaves_after", [0, 1, 5])
def test_disconnect_frees_the_slot_behind_two_servers(
    far: RunningServer, long_server: RunningServer, leaves_after: int
) -> None:
    body = {"model": "m", "prompt": HI, "max_tokens_to_sample": LONG_TOKENS, "stream": True}
    with (
        httpx2.Client(headers=VERSION, timeout=PATIENCE_S) as client,
        client.stream("POST", f"{far.url}/v1/complete", json=body) as response,
    ):
        assert response.status_code == 200
        lines = response.iter_lines()
        assert len([line for line, _ in zip(lines, range(leaves_after), strict=False)]) == (
            leaves_after
        )
    long_server.wait_until_idle(FREED_S)
    far.wait_until_idle(FREED_S)


def test_ready_reports_the_health_of_each_upstream(gateway: RunningServer) -> None:
    status = gateway.get("/ready")
    assert status["upstreams"] == dict.fromkeys(("raw", "chat", "messages", "tenuto"), "ok")
    listed = gateway.get("/v1/models")["data"]
    assert [model["id"] for model in listed][:3] == ["raw", "chat", "messages"]
