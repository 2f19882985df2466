"""The pytest plugin, in runs of pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.conftest import PATIENCE_S, ROOT

TESTS = """
import pytest
from tenuto import AI_PROMPT, HUMAN_PROMPT

def ask(tape, text):
    prompt = f"{HUMAN_PROMPT} {text}{AI_PROMPT}"
    return tape.client.completions.create(
        model="m", prompt=prompt, max_tokens_to_sample=9
    ).completion

@pytest.mark.parametrize("text", ["one", "a/b c", "a b c"])
def test_answer(tenuto_cassette, text):
    assert ask(tenuto_cassette, text) == f" {text}"

class TestMore:
    @pytest.mark.parametrize("text", ["one"])
    def test_answer(self, tenuto_cassette, text):
        assert ask(tenuto_cassette, text + " more") == f" {text} more"

@pytest.mark.tenuto_cassette("own.jsonl", scrub=["day [0-9]+"])
def test_with_a_file_of_its_own(tenuto_cassette):
    assert ask(tenuto_cassette, "day 17").strip()
"""

HIDES = """

def test_that_hides_errors(tenuto_cassette):
    try:
        ask(tenuto_cassette, "never")
    except Exception:
        pass
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        # Otherwise the plugin would be loaded twice where the package is installed.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "TENUTO_ENGINE_NAME": "echo",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tenuto.testing.plugin", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_fixture_records_on_request_and_replays_otherwise(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_answers.py").write_text(TESTS)
    missing = run(tmp_path)
    assert missing.returncode == 1
    assert "is not there; record it with pytest --tenuto-record once" in missing.stdout
    assert "Traceback" not in missing.stdout
    assert "plugin.py" not in missing.stdout
    made = run(tmp_path, "--tenuto-record", "once")
    assert made.returncode == 0, made.stdout
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jsonl"))
    folder = "cassettes/test_answers"
    assert len(set(found)) == 5
    assert [re.sub(r"-[0-9a-f]{8}\.", "-HASH.", name) for name in found] == [
        f"{folder}/TestMore.test_answer_one_.jsonl",
        f"{folder}/test_answer_a_b_c_-HASH.jsonl",
        f"{folder}/test_answer_a_b_c_-HASH.jsonl",
        f"{folder}/test_answer_one_.jsonl",
        "own.jsonl",
    ]
    (tmp_path / "test_answers.py").write_text(TESTS.replace('"day 17"', '"day 18"'))
    assert run(tmp_path).returncode == 0
    empty = tmp_path / folder / "test_that_hides_errors.jsonl"
    empty.touch()
    (tmp_path / "test_answers.py").write_text(TESTS.replace('"day 17"', '"day 18"') + HIDES)
    hidden = run(tmp_path)
    assert "6 passed, 1 error" in hidden.stdout
    assert "MissedError: requests without a recording" in hidden.stdout


def test_plugin_is_an_entry_point_that_loads_nothing_but_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module = project["entry-points"]["pytest11"]["tenuto"]
    program = (
        f"import pytest, sys\nbefore = set(sys.modules)\nimport {module}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == ["tenuto", "tenuto.testing", "tenuto.testing.plugin", "tenuto.version"]
