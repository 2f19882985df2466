"""`Client(engine="local:hf:...")`: the model is downloaded from a hub, here one on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.libraries import ASK
from tests.conftest import CAPITAL, PATIENCE_S
from tests.models.hub_server import HubRepo, hub_server

pytest.importorskip("huggingface_hub")

# A program of its own, because the library reads HF_ENDPOINT when it is imported.
PROGRAM = f"""
import json, os, sys
from tenuto import Client

def said(model):
    try:
        Client(engine=f"local:{{model}}").close()
    except ValueError as error:
        return str(error)

for name in ("hf:org/capital", "hf:org/capital:a-Q8_0.gguf"):
    assert said(name) is None
with Client(engine="local:org/capital") as client:
    text = client.completions.create(**{ASK | {"max_tokens_to_sample": 3}!r}).completion
wrong = {{name: said(name) for name in sys.argv[1:]}}
print(json.dumps([text, wrong]))
"""
WRONG = {
    "hf:org/nothing": "engine: org/nothing: the hub has no such repository",
    "hf:org/capital:b.gguf": "engine: ",
    "hf:org/gated": "engine: org/gated: its owners require their terms to be accepted",
    "hf:nonsense": "engine: ",
}


def test_hub_model_is_downloaded_once_and_completes(tmp_path: Path, capital_model: Path) -> None:
    content = capital_model.read_bytes()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ANTHROPIC_"))}
    with hub_server() as hub:
        hub.repos["org/capital"] = HubRepo({"a-Q8_0.gguf": content, "README.md": b"read"})
        hub.repos["org/gated"] = HubRepo({"c.gguf": content}, gated=True)
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *WRONG],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env={
                **environment,
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(tmp_path / "hf"),
                "NO_PROXY": "localhost,127.0.0.1",
                "TENUTO_MODELS_FOLDER": str(tmp_path / "models"),
            },
        )
    assert (done.returncode, done.stderr) == (0, "")
    text, wrong = json.loads(done.stdout)
    assert text == "".join(CAPITAL[:3])
    # What is here is not fetched again.
    assert len([each for each in hub.of_content() if "capital" in each.path]) == 1
    for model, message in WRONG.items():
        assert wrong[model].startswith(message), wrong[model]
        assert "\n" not in wrong[model]
