"""Calls whose client may be one of several."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SOURCE = """
import anthropic

client = anthropic.AnthropicBedrock() if bedrock else anthropic.Anthropic()
client.completions.create(model="claude-2", prompt=prompt, max_tokens_to_sample=9)
"""
SCAN = """
import sys
from tenuto.migrate.python.uses import findings
for each in findings(sys.stdin.read(), "app.py"):
    print(each.code, each.message)
"""


@pytest.mark.parametrize("seed", ["1", "2", "3", "4"])
def test_client_of_a_platform_counts_in_every_run(seed: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCAN],
        input=SOURCE,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": seed},
    )

    assert "TC109 the platform has its own names of models" in result.stdout
