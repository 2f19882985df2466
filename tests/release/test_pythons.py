"""Interpreters of this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from release.pythons import find, supported

RUNNING = "{}.{}".format(*sys.version_info)


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no other interpreters."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


def test_the_running_interpreter_comes_first() -> None:
    assert find(RUNNING) == sys.executable
    assert find("3.99") is None


def test_an_interpreter_on_the_path_is_found(machine: Path) -> None:
    python = script(machine / "bin" / "python3.99", "echo 3.99")
    assert find("3.99") == str(python)


def test_failing_shim_is_replaced_by_pyenvs_versions(machine: Path) -> None:
    script(machine / "bin" / "python3.99", "exit 127")
    python = script(machine / "pyenv" / "versions" / "3.99.1" / "bin" / "python3", "echo 3.99")
    assert find("3.99") == str(python)


def test_the_supported_versions_are_those_of_the_classifiers() -> None:
    assert "3.11" in supported(Path(__file__).parents[2] / "pyproject.toml")
