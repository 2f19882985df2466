"""The programs that check the files of `deploy/`, of Debian's packages."""

from __future__ import annotations

import os
import shutil

import pytest


def promtool() -> str:
    """Return the path of `promtool`. Skip the test if it is not installed."""
    return _program("promtool")


def prometheus() -> str:
    """Return the path of `prometheus`. Skip the test if it is not installed."""
    return _program("prometheus")


def nginx() -> str:
    """Return the path of `nginx`. Skip the test if it is not installed."""
    return _program("nginx")


def openssl() -> str:
    """Return the path of `openssl`. Skip the test if it is not installed."""
    return _program("openssl")


def _program(name: str) -> str:
    # Debian keeps servers' programs in a folder that is not everybody's path.
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        package = "prometheus" if name == "promtool" else name
        pytest.skip(f"{name} is not installed; Debian's package {package} has it")
    return found
