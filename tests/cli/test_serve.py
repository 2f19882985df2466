"""`tenuto serve` that cannot: see `tests/journey` for the one that can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tenuto.engine.local.engine import built_in_model
from tests.conftest import PATIENCE_S


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tenuto", "serve", "--port", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.7])
def test_a_truncated_model_is_one_line(tmp_path: Path, share: float) -> None:
    whole = built_in_model().read_bytes()
    path = tmp_path / "half.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    done = serve("--model", str(path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"tenuto: {path}: ")
    assert done.stderr.count("\n") == 1


def test_a_model_that_the_runtime_refuses_ends_the_server(tmp_path: Path) -> None:
    path = tmp_path / "odd.gguf"
    path.write_bytes(built_in_model().read_bytes().replace(b"llama", b"zzama"))
    done = serve("--model", str(path))
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"tenuto: {path}: ")
    assert "Traceback" not in done.stderr
