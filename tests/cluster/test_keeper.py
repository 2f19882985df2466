"""A node outlives its keeper, is taken over by the next one, is started again, and drained."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tenuto.cluster import node_process
from tenuto.cluster.keeper import Keeper, Sight
from tests.conftest import PATIENCE_S

SETTINGS = {"TENUTO_ENGINE_NAME": "echo"}


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "cluster" / "node-1"
    yield folder
    if process := node_process.adopted(folder):
        process.kill()


def keeper_of(folder: Path, port: int) -> Keeper:
    variables = {"PATH": os.environ["PATH"], **SETTINGS}
    return Keeper(str(folder), (), "127.0.0.1", (port, port), 1, 20, variables)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until(keeper: Keeper, holds: Callable[[Sight], bool]) -> Sight:
    latest = time.monotonic() + PATIENCE_S
    while not holds(keeper.sight()):
        assert time.monotonic() < latest, keeper.sight()
        time.sleep(0.02)
    return keeper.sight()


def test_a_node_is_started_taken_over_restarted_and_drained(folder: Path, port: int) -> None:
    first = keeper_of(folder, port)
    sight = until(first, lambda sight: sight.ready)
    assert sight.address == f"http://127.0.0.1:{port}"
    process = node_process.adopted(folder)
    assert process
    # A worker of Ray that ends kills its children, and signals reach all of a session.
    assert os.getsid(process.pid) == process.pid
    assert parent_of(process.pid) != os.getpid()

    first.leave()
    second = keeper_of(folder, port)
    assert until(second, lambda sight: sight.ready).address == sight.address
    assert node_process.adopted(folder) == process

    process.send(signal.SIGKILL)
    until(second, lambda sight: not sight.ready)
    until(second, lambda sight: sight.ready and sight.address.endswith(f":{port}"))
    again = node_process.adopted(folder)
    assert again
    assert again.pid != process.pid

    second.drain()
    until(second, lambda sight: sight.draining)
    until(second, lambda sight: sight.ended)
    assert not again.alive
    assert node_process.adopted(folder) is None


class Silence:
    """A clock that is set by hand, and answers of a node that can be switched off."""

    def __init__(self) -> None:
        self.now, self.silent, self.probes = 0.0, False, 0

    def probe(self, address: str) -> tuple[bool, bool, None]:
        self.probes += 1
        return not self.silent, not self.silent, None

    def keeper(self, folder: Path, port: int) -> Keeper:
        variables = {"PATH": os.environ["PATH"], **SETTINGS}
        return Keeper(
            *(str(folder), (), "127.0.0.1", (port, port), 1, 20, variables),
            clock=lambda: self.now,
            probe=self.probe,
        )

    def pass_to(self, now: float) -> None:
        """Set the clock, and wait for the end of a look of the keeper that began since."""
        self.now, looks = now, self.probes + 3
        latest = time.monotonic() + PATIENCE_S
        while self.probes < looks:
            assert time.monotonic() < latest
            time.sleep(0.02)


def test_a_node_that_hangs_for_a_minute_is_killed_and_started_again(
    folder: Path, port: int
) -> None:
    silence = Silence()
    keeper = silence.keeper(folder, port)
    until(keeper, lambda sight: sight.ready)
    process = node_process.adopted(folder)
    assert process
    process.send(signal.SIGSTOP)

    silence.silent = True
    until(keeper, lambda sight: not sight.ready)
    silence.pass_to(60)
    assert node_process.adopted(folder) == process

    silence.pass_to(61)
    silence.silent = False
    until(keeper, lambda sight: sight.ready)
    again = node_process.adopted(folder)
    assert again
    assert again.pid != process.pid
    assert not process.alive
    keeper.leave()


def test_a_node_that_loads_its_model_for_long_is_not_taken_for_one_that_hangs(
    folder: Path, port: int
) -> None:
    silence = Silence()
    silence.silent = True
    keeper = silence.keeper(folder, port)
    silence.pass_to(0)
    process = node_process.adopted(folder)
    silence.pass_to(3600)
    assert process
    assert node_process.adopted(folder) == process
    keeper.leave()


def test_a_node_that_finds_no_port_reports_why(folder: Path, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        keeper = keeper_of(folder, port)
        trouble = until(keeper, lambda sight: sight.trouble != "").trouble
        assert "no free port for a node on 127.0.0.1" in trouble
        keeper.leave()


def test_a_process_with_the_number_of_an_ended_one_is_not_taken_over(tmp_path: Path) -> None:
    began = node_process.began(os.getpid())
    assert began
    same = node_process.NodeProcess(os.getpid(), began, "127.0.0.1", 1, 1)
    other = node_process.NodeProcess(os.getpid(), began + 1, "127.0.0.1", 1, 1)
    assert same.alive
    assert not other.alive
    (tmp_path / "node.json").write_text("{")
    assert node_process.adopted(tmp_path) is None
