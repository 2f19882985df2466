"""`make model` on a small setting: every step runs in order and writes its files.

Training takes minutes, so the test runs only with torch and TRAIN_TENUTO set.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("openvino_genai")

ROOT = Path(__file__).parents[2]
INTERPRETER = "training/.venv/bin/python"


@pytest.mark.skipif("TRAIN_TENUTO" not in os.environ, reason="trains; set TRAIN_TENUTO to run it")
def test_make_model_runs_every_step(tmp_path: Path) -> None:
    # A dry run of `make` lists the commands; they run in this environment.
    settings = [f"TRAINED={tmp_path}", "DOCUMENTS=2000", "MINUTES=0.5", "SIZE=toy"]
    command = ["make", "--dry-run", "model", *settings]
    planned = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    steps = [shlex.split(line) for line in planned.splitlines() if f"{INTERPRETER} -m t" in line]
    assert len(steps) == 5
    for step in steps:
        subprocess.run([sys.executable, *step[1:]], cwd=ROOT, check=True, timeout=300)
    assert (tmp_path / "tenuto-mini.gguf").read_bytes()[:4] == b"GGUF"
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8").startswith("<svg")
    report = (tmp_path / "REPORT.md").read_text(encoding="utf-8")
    for skill in ("capitals", "stories, new phrasing and names", "ends by itself"):
        assert f"| {skill} |" in report
