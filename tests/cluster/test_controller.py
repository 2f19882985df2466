"""Fronts have the addresses of nodes that answer, whichever part of the cluster fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tenuto.cluster.controller import ClusterLost, Controller, Found, Seen
from tenuto.cluster.keeper import Sight
from tenuto.cluster.plan import ClusterFolder, InUseError, Plan


class Machines:
    """A placement in memory: a node is ready at the second look after it was placed."""

    def __init__(self) -> None:
        self.up = {"m1", "m2"}
        self.keepers: dict[str, tuple[str, int]] = {}
        self.nodes: dict[str, tuple[str, int]] = {}
        self.sights: dict[str, Sight] = {}
        self.lost = False
        self.room = True
        self.drained: list[str] = []

    def machines(self) -> frozenset[str]:
        if self.lost:
            raise ClusterLost("gone")
        return frozenset(self.up)

    def found(self, machines: frozenset[str]) -> Sequence[Found]:
        kept = [Found(name, each[1], each[0]) for name, each in self.keepers.items()]
        return kept + [
            Found(name, generation, machine, kept=False)
            for name, (machine, generation) in self.nodes.items()
            if name not in self.keepers and machine in machines
        ]

    def place(self, name: str, plan: Plan, generation: int, machine: str = "") -> None:
        if self.room:
            where = machine or min(
                self.up, key=lambda m: [k[0] for k in self.nodes.values()].count(m)
            )
            self.keepers[name] = self.nodes[name] = (where, generation)
            self.sights.setdefault(name, Sight(f"http://{name}:8100"))

    def look(self, names: Sequence[str]) -> Mapping[str, Seen]:
        seen = {}
        for name in names:
            if name in self.keepers:
                machine, _ = self.keepers[name]
                sight = self.sights[name]
                seen[name] = Seen(machine, sight)
                self.sights[name] = replace(sight, ready=not sight.draining, ended=sight.draining)
            elif name in self.nodes:
                seen[name] = Seen("", None)
        return seen

    def drain(self, name: str) -> None:
        self.drained.append(name)
        if name in self.sights:
            self.sights[name] = replace(self.sights[name], draining=True, ready=False)

    def remove(self, name: str) -> None:
        self.keepers.pop(name, None)
        if name in self.sights and self.sights[name].ended:
            del self.nodes[name], self.sights[name]

    def close(self) -> None:
        pass


class Cluster:
    def __init__(self, path: Path) -> None:
        self.folder, self.machines, self.now = ClusterFolder(path), Machines(), 0.0
        self.lines: list[str] = []
        self.restart()

    def restart(self) -> None:
        self.controller = Controller(
            self.folder, self.machines, lambda: self.now, self.lines.append
        )

    def settle(self, plan: Plan) -> Iterator[list[str]]:
        """Yield the addresses for fronts after each look, until all is as planned."""
        for _ in range(60):
            self.now += 1
            done = self.controller.step(plan)
            yield self.addresses()
            if done:
                return
        raise AssertionError(self.controller.members)

    def addresses(self) -> list[str]:
        nodes = self.folder.nodes
        return nodes.read_text().splitlines() if nodes.exists() else []


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def test_nodes_are_placed_scaled_and_ended(cluster: Cluster) -> None:
    assert len(list(cluster.settle(Plan(1, 1)))[-1]) == 1
    assert len(list(cluster.settle(Plan(3, 3)))[-1]) == 3
    assert len(list(cluster.settle(Plan(1, 1)))[-1]) == 1
    list(cluster.settle(Plan(1, 1, ending=True)))
    assert cluster.machines.nodes == {}


def test_an_upgrade_leaves_fronts_as_many_nodes_as_planned(cluster: Cluster) -> None:
    *_, before = cluster.settle(Plan(2, 2))
    seen = list(cluster.settle(Plan(2, 2, generation=2)))
    assert min(len(addresses) for addresses in seen) == 2
    assert not set(before) & set(seen[-1])


def test_a_node_is_taken_from_fronts_before_it_is_drained(cluster: Cluster) -> None:
    list(cluster.settle(Plan(2, 2)))
    drain = cluster.machines.drain

    def check(name: str) -> None:
        assert not any(name in address for address in cluster.addresses())
        drain(name)

    cluster.machines.drain = check  # type: ignore[method-assign]
    list(cluster.settle(Plan(1, 1)))
    assert len(cluster.machines.drained) == 1


def test_a_node_on_a_machine_that_is_gone_is_replaced(cluster: Cluster) -> None:
    list(cluster.settle(Plan(2, 2)))
    (gone,) = (name for name, each in cluster.machines.keepers.items() if each[0] == "m2")
    cluster.machines.up.remove("m2")
    del cluster.machines.keepers[gone]
    *_, after = cluster.settle(Plan(2, 2))
    assert len(after) == 2
    assert not any(gone in address for address in after)


def test_a_node_stays_when_its_keeper_dies(cluster: Cluster) -> None:
    *_, before = cluster.settle(Plan(2, 2))
    cluster.machines.keepers.pop(next(iter(cluster.machines.keepers)))
    assert all(addresses == before for addresses in cluster.settle(Plan(2, 2)))
    assert len(cluster.machines.keepers) == 2


def test_fronts_keep_their_nodes_while_the_cluster_is_lost_and_when_it_is_new(
    cluster: Cluster,
) -> None:
    *_, before = cluster.settle(Plan(2, 2))
    cluster.machines.lost = True
    with pytest.raises(ClusterLost):
        cluster.controller.step(Plan(2, 2))
    assert cluster.addresses() == before
    # A new head has no keepers, and the nodes are still there.
    cluster.machines.lost = False
    cluster.machines.keepers.clear()
    cluster.restart()
    assert all(addresses == before for addresses in cluster.settle(Plan(2, 2)))
    assert len(cluster.machines.nodes) == 2


def test_nodes_without_a_keeper_end_too(cluster: Cluster) -> None:
    list(cluster.settle(Plan(1, 1)))
    cluster.machines.nodes["left"] = ("m2", 1)
    cluster.machines.sights["left"] = Sight("http://left:8100", ready=True)
    list(cluster.settle(Plan(1, 1, ending=True)))
    assert cluster.machines.nodes == {}


def test_the_state_names_a_node_without_room(cluster: Cluster) -> None:
    cluster.machines.room = False
    for _ in range(20):
        cluster.now += 1
        cluster.controller.step(Plan(1, 1))
    assert "no machine has room for node-" in cluster.folder.status().detail


def test_requests_that_wait_add_nodes(cluster: Cluster) -> None:
    list(cluster.settle(Plan(1, 3)))
    name = next(iter(cluster.machines.sights))
    cluster.machines.sights[name] = replace(cluster.machines.sights[name], waiting=9)
    for _ in range(15):
        cluster.now += 1
        cluster.controller.step(Plan(1, 3))
    assert cluster.folder.status().target == 2


def test_a_node_goes_after_the_cool_down_of_the_plan_and_not_before(cluster: Cluster) -> None:
    list(cluster.settle(Plan(3, 3)))
    plan = Plan(1, 3, cool_down_s=30)
    for _ in range(30):
        cluster.now += 1
        cluster.controller.step(plan)
    assert cluster.folder.status().target == 3
    cluster.now += 1
    cluster.controller.step(plan)
    assert cluster.folder.status().target == 2


def test_one_process_keeps_a_folder(tmp_path: Path) -> None:
    folder = ClusterFolder(tmp_path)
    with folder.keep():
        assert ClusterFolder(tmp_path).kept
        with pytest.raises(InUseError), ClusterFolder(tmp_path).keep():
            pass
    assert not folder.kept


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, plan = ClusterFolder(tmp_path), Plan(1, 4, 7, ("--model", "x"), 2.5, (9000, 9001))
    assert folder.plan() is None
    folder.set_plan(plan)
    assert folder.plan() == plan
    (tmp_path / "plan.json").write_text('{"least": 1}')
    with pytest.raises(ValueError, match="not a plan of this version"):
        folder.plan()
