"""`tenuto cluster` changes the plan, shows the state, and explains what is missing."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tenuto.cluster.controller import ClusterLost, ClusterOpen, Found, Seen
from tenuto.cluster.plan import ClusterFolder, Plan, Status
from tenuto.cluster.roster import Member


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    return ClusterFolder(tmp_path)


def run(tmp_path: Path, *arguments: str) -> int:
    return main(["cluster", *arguments, "--folder", str(tmp_path)])


def test_without_ray_the_error_has_the_command_that_installs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "tenuto.cluster.ray_placement", raising=False)
    assert run(tmp_path, "up", "--address", "127.0.0.1:1") == 2
    assert "(ray is missing)" in (error := capsys.readouterr().err)
    assert error.endswith("pip install '.[ray]'\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("up",), "Give --address HOST:PORT, or set RAY_ADDRESS"),
        (("up", "--nodes", "3:1"), "'3:1' is no number of nodes: write it like 3, or 1:5"),
        (("up", "--nodes", "0"), "'0' is no number of nodes"),
        (("up", "--ports", "9-8"), "'9-8' is no range of ports: write it like 8100-8199"),
        (("scale", "3"), "start one with `tenuto cluster up`"),
        (("upgrade",), "start one with `tenuto cluster up`"),
        (("down",), "start one with `tenuto cluster up`"),
    ],
)
def test_a_mistake_is_explained(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert run(tmp_path, *arguments) == 2
    assert text in capsys.readouterr().err


def test_the_plan_changes_and_is_done_when_up_runs(
    tmp_path: Path, folder: ClusterFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.set_plan(Plan(1, 1))
    assert run(tmp_path, "scale", "1:5") == 0
    assert run(tmp_path, "upgrade") == 0
    assert folder.plan() == Plan(1, 5, generation=2)
    assert "when `tenuto cluster up` runs with this folder" in capsys.readouterr().err


def test_the_status_lists_nodes_and_the_reason_for_a_missing_one(
    tmp_path: Path, folder: ClusterFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    up = Member("node-a", 1, "m", "http://10.0.0.11:8100", True, waiting=3, kv_used=0.25)
    folder.set_status(Status((up, Member("node-b", 1)), 2, "no machine has room"))
    assert run(tmp_path, "status") == 0
    output = capsys.readouterr()
    assert "node-a  http://10.0.0.11:8100  ready" in output.out
    assert "1 of 2 nodes are ready." in output.out
    assert "no machine has room" in output.err


class Nothing:
    """A cluster on which nothing runs."""

    def machines(self) -> frozenset[str]:
        return frozenset({"m"})

    def found(self, machines: frozenset[str]) -> Sequence[Found]:
        return ()

    def place(self, name: str, plan: Plan, generation: int, machine: str = "") -> None:
        raise KeyboardInterrupt

    def look(self, names: Sequence[str]) -> Mapping[str, Seen]:
        return {}

    def drain(self, name: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def close(self) -> None: ...


def test_down_without_up_ends_the_remaining_nodes(
    tmp_path: Path,
    folder: ClusterFolder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tenuto.cli.cluster._Connection.open", lambda self: Nothing())
    folder.set_plan(Plan(1, 1))
    assert run(tmp_path, "down") == 0
    assert folder.plan() is None
    assert "All nodes have ended." in capsys.readouterr().err


def test_up_after_ctrl_c_goes_on_with_the_options_of_before(
    tmp_path: Path, folder: ClusterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenuto.cli.cluster._Connection.open", lambda self: Nothing())
    options = ("--config", "/etc/node.toml", "--cpus", "2", "--ports", "9000-9009")
    more = ("--cool-down", "60", "--name", "blue", "--insecure")
    arguments: tuple[str, ...] = ("--config", "/etc/node.toml", "--insecure")
    before = Plan(2, 4, 1, arguments, 2.0, (9000, 9009), cool_down_s=60, name="blue")
    for given in (("--nodes", "2:4", *options, *more), ()):
        assert run(tmp_path, "up", *given) == 130
        assert folder.plan() == before
    assert run(tmp_path, "up", "--model", "/models/m.gguf", "--nodes", "3") == 130
    arguments = ("--config", "/etc/node.toml", "--model", "/models/m.gguf", "--insecure")
    assert folder.plan() == replace(before, least=3, most=3, arguments=arguments)
    assert not folder.kept


@pytest.mark.parametrize("failure", [ClusterOpen("no token"), ClusterLost("no answer")])
def test_up_ends_with_the_reason_if_it_cannot_begin(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    def refused(_: object) -> None:
        raise failure

    monkeypatch.setattr("tenuto.cli.cluster._Connection.open", refused)
    assert run(tmp_path, "up", "--address", "127.0.0.1:1") == 1
    assert str(failure) in capsys.readouterr().err


def test_up_goes_on_after_a_lost_cluster_and_ends_if_the_next_one_needs_no_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(Nothing):
        def machines(self) -> frozenset[str]:
            raise ClusterLost("the head is gone")

    steps: list[Nothing | Exception] = [Lost(), ClusterLost("not yet"), ClusterOpen("no token")]

    def connect(_: object) -> Nothing:
        if isinstance(each := steps.pop(0), Exception):
            raise each
        return each

    monkeypatch.setattr("tenuto.cli.cluster._Connection.open", connect)
    monkeypatch.setattr("tenuto.cli.cluster._RETRY_S", 0.01)
    assert run(tmp_path, "up") == 1
    error = capsys.readouterr().err
    assert "the head is gone; the nodes go on, and it is tried again" in error
    assert "no token" in error
