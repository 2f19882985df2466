"""The folder of a cluster has one keeper."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tenuto.cluster.plan import ClusterFolder, InUseError


def test_keeper_waits_for_a_lock_that_is_held_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ExitStack()
    other.enter_context(ClusterFolder(tmp_path).keep())
    monkeypatch.setattr("tenuto.cluster.plan.time.sleep", lambda seconds: other.close())

    with ClusterFolder(tmp_path).keep():
        assert ClusterFolder(tmp_path).kept


def test_second_keeper_is_refused_after_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("tenuto.cluster.plan.time.sleep", waits.append)
    monkeypatch.setattr("tenuto.cluster.plan.time.monotonic", lambda: sum(waits))

    with ClusterFolder(tmp_path).keep():
        with pytest.raises(InUseError), ClusterFolder(tmp_path).keep():
            pass
        assert 1 < sum(waits) < 5

    assert not ClusterFolder(tmp_path).kept
