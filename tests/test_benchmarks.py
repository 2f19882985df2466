"""The benchmarks as programs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import PATIENCE_S, ROOT


@pytest.mark.parametrize(
    "name", ["", ".client", ".engine", ".gateway", ".startup", ".stops", ".tenants", ".throughput"]
)
def test_help_says_what_is_measured_and_measures_nothing(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks{name}", "--help"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
