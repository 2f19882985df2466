"""Bring the nodes of a cluster to its plan, one look at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tenuto.cluster.keeper import Sight
from tenuto.cluster.plan import ClusterFolder, Plan, Status
from tenuto.cluster.roster import Member, next_change
from tenuto.cluster.scaling import Bounds, Scale, next_scale

_UNPLACED_S: Final = 15.0


class ClusterLost(Exception):
    """The cluster does not answer. Nodes go on, and nothing is placed or replaced."""


class ClusterOpen(Exception):
    """All that reach the cluster can run programs on it, as it has no token authentication."""


@dataclass(frozen=True, slots=True)
class Found:
    """A node that was running before the controller.

    Attributes:
        name: Its name.
        generation: Of the plan that it was started by.
        machine: Where it is; empty if that is not known yet.
        kept: It has a keeper. One without goes on from a keeper that died.
    """

    name: str
    generation: int
    machine: str = ""
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """The state of a keeper.

    Attributes:
        machine: Where it is.
        sight: Its node. None: the keeper has died.
    """

    machine: str
    sight: Sight | None


class Placement(Protocol):
    """Keepers on machines. Each method raises `ClusterLost`."""

    def machines(self) -> frozenset[str]:
        """Return the machines that are there."""
        ...

    def found(self, machines: frozenset[str]) -> Sequence[Found]:
        """Return the nodes on some machines, also those without a keeper."""
        ...

    def place(self, name: str, plan: Plan, generation: int, machine: str = "") -> None:
        """Start a keeper: on a machine, or anywhere; that may take until there is room."""
        ...

    def look(self, names: Sequence[str]) -> Mapping[str, Seen]:
        """Return the keepers that answer or have died; the others are not placed or are slow."""
        ...

    def drain(self, name: str) -> None:
        """Let a node end."""
        ...

    def remove(self, name: str) -> None:
        """End a keeper."""
        ...

    def close(self) -> None:
        """Leave the cluster; keepers and nodes go on."""
        ...


class Controller:
    """A loop that keeps the nodes of a cluster as planned.

    Args:
        folder: Its files.
        placement: Where keepers run.
        clock: The time in seconds.
        say: What prints a line of progress.
    """

    def __init__(
        self,
        folder: ClusterFolder,
        placement: Placement,
        clock: Callable[[], float],
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._placement = folder, placement
        self._clock, self._say = clock, say
        self._members: dict[str, Member] = {}
        self._placed_at: dict[str, float] = {}
        self._machines: frozenset[str] = frozenset()
        known = folder.status().members
        self._known = {each.name: each for each in known}
        self._scale = Scale(sum(not each.draining for each in known))
        self._detail = ""

    @property
    def members(self) -> tuple[Member, ...]:
        """The nodes."""
        return tuple(self._members.values())

    def step(self, plan: Plan) -> bool:
        """Look at all nodes, and make the next change; return whether all is as planned.

        Raises:
            ClusterLost: The cluster does not answer. Fronts keep the addresses that they have.
        """
        now = self._clock()
        surveyed = plan.ending and not self._members
        if surveyed:
            # Nodes may be left of keepers that died with a part of Ray.
            self._machines = frozenset()
        self._adopt(plan, now)
        self._look(plan)
        staying = [each for each in self.members if not each.draining]
        ready = [each for each in staying if each.ready]
        self._scale = (
            Scale(0)
            if plan.ending
            else next_scale(
                Bounds(plan.least, plan.most, down_after_s=plan.cool_down_s),
                self._scale,
                ready=len(ready),
                waiting=sum(each.waiting for each in ready),
                waiting_tokens=sum(each.waiting_tokens for each in ready),
                kv_used=sum(each.kv_used for each in ready),
                now=now,
            )
        )
        target = self._scale.target
        change = next_change(self.members, target, plan.generation)
        for name in change.drain:
            self._members[name] = replace(self._members[name], draining=True, ready=False)
        # Fronts learn first which nodes end.
        self._write(now)
        for name in change.drain:
            self._say(f"{name}: drains")
            self._placement.drain(name)
        for _ in range(change.place):
            self._place(plan, now)
        if plan.ending:
            return surveyed and not self._members
        done = not (change.drain or change.place) and len(self._members) == target
        return done and all(
            each.ready and each.generation == plan.generation for each in self.members
        )

    def _place(self, plan: Plan, now: float) -> None:
        name = f"node-{plan.generation}-{secrets.token_hex(3)}"
        self._placement.place(name, plan, plan.generation)
        self._members[name] = Member(name, plan.generation)
        self._placed_at[name] = now

    def _adopt(self, plan: Plan, now: float) -> None:
        """Take over the nodes on machines that are new, after a restart of ours or of Ray."""
        machines = self._placement.machines()
        new, self._machines = machines - self._machines, machines
        for found in self._placement.found(new) if new else ():
            if found.name in self._members:
                continue
            self._say(f"{found.name}: found running")
            if not found.kept:
                self._placement.place(found.name, plan, found.generation, found.machine)
            # Fronts keep its address until it is seen again.
            known = self._known.get(found.name, Member(found.name, found.generation))
            self._members[found.name] = replace(
                known, machine=found.machine or known.machine, generation=found.generation
            )
            self._placed_at[found.name] = now

    def _look(self, plan: Plan) -> None:
        self._detail = ""
        for name, seen in self._placement.look(list(self._members)).items():
            before = self._members[name]
            if seen.sight is None:
                self._lost(before, plan)
            elif seen.sight.ended:
                self._placement.remove(name)
                del self._members[name]
                self._say(f"{name}: ended")
            else:
                sight = seen.sight
                draining = before.draining or sight.draining
                if before.draining and not sight.draining:
                    self._placement.drain(name)
                ready = sight.ready and not draining
                if ready and not before.ready:
                    self._say(f"{name}: ready at {sight.address}")
                self._members[name] = replace(
                    before,
                    machine=seen.machine,
                    address=sight.address,
                    ready=ready,
                    draining=draining,
                    waiting=sight.waiting,
                    waiting_tokens=sight.waiting_tokens,
                    kv_used=sight.kv_used,
                )
                if sight.trouble:
                    self._detail = f"{name}: {sight.trouble}"

    def _lost(self, member: Member, plan: Plan) -> None:
        self._placement.remove(member.name)
        if member.machine in self._machines:
            # Its node goes on, and the new keeper finds it.
            self._say(f"{member.name}: its keeper died; another one takes over")
            self._placement.place(member.name, plan, member.generation, member.machine)
            return
        self._say(f"{member.name}: its machine is gone")
        del self._members[member.name]

    def _write(self, now: float) -> None:
        waits = [
            each.name
            for each in self.members
            if not each.machine and now - self._placed_at.get(each.name, now) > _UNPLACED_S
        ]
        detail = self._detail
        if waits:
            detail = f"no machine has room for {', '.join(waits)}: add one, or lower --cpus"
        self._folder.set_nodes([each.address for each in self.members if each.ready])
        self._folder.set_status(Status(self.members, self._scale.target, detail))
