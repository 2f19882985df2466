"""The programs of Prometheus, of Debian's package `prometheus`."""

from __future__ import annotations

import shutil

import pytest


def promtool() -> str:
    """Return the path of `promtool`. Skip the test if it is not installed."""
    return _program("promtool")


def prometheus() -> str:
    """Return the path of `prometheus`. Skip the test if it is not installed."""
    return _program("prometheus")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; Debian's package prometheus has it")
    return found
