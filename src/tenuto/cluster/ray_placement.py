"""Keepers as detached actors of a Ray cluster. Needs the extra `ray`.

Ray is given names, settings and states, and neither prompts nor keys: these are in the requests of
fronts to nodes, and in the settings on the machines.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import ray  # pyright: ignore[reportMissingImports]
import ray.exceptions as failures  # pyright: ignore[reportMissingImports]
from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
    NodeAffinitySchedulingStrategy,
)

from tenuto.cluster import node_process
from tenuto.cluster.controller import ClusterLost, ClusterOpen, Found, Seen
from tenuto.cluster.keeper import Keeper, Sight
from tenuto.cluster.plan import Plan
from tenuto.cluster.roster import generation_of
from tenuto.settings.user_folders import state_folder

_ANSWER_S: Final = 10.0
_GONE: Final = (failures.ActorDiedError, failures.ActorUnschedulableError)
_BROKEN: Final = (failures.RayError, ConnectionError, RuntimeError, TimeoutError)

_OPEN: Final = ClusterOpen(
    "the token authentication of Ray is off, so that all that reach the cluster can run programs"
    " on it: start Ray on each machine with RAY_AUTH_MODE=token, and set that here too"
)


class KeeperActor:
    """A keeper in a process of Ray.

    Args:
        cluster: The name of the cluster.
        name: The name of the node.
        plan: What the node is to be.
        generation: Of the plan that it was started by.
    """

    def __init__(self, cluster: str, name: str, plan: Plan, generation: int) -> None:
        folder = _folder(cluster) / name
        variables = {
            each: value
            for each, value in os.environ.items()
            # Ray's own token and settings are none of the node's business.
            if not each.startswith("RAY_")
        }
        host = ray.util.get_node_ip_address()
        self._keeper = Keeper(
            *(str(folder), plan.arguments, host, plan.ports, generation, plan.grace_s), variables
        )

    def look(self) -> tuple[str, Sight]:
        """Return the machine and the state of the node."""
        return ray.get_runtime_context().get_node_id(), self._keeper.sight()

    def drain(self) -> None:
        """Let the node end."""
        self._keeper.drain()


class RayPlacement:
    """Keepers on the machines of a Ray cluster.

    Args:
        cluster: The name of the cluster; several may share the machines.
        address: Of the head, such as `10.0.0.1:6379`.
        insecure: Accept a cluster without token authentication.

    Raises:
        ClusterLost: Nothing answers at the address, or the cluster has another token.
        ClusterOpen: The cluster has no token authentication.
    """

    def __init__(self, cluster: str, address: str, *, insecure: bool = False) -> None:
        self._cluster = cluster
        self._actors: dict[str, Any] = {}
        if not (insecure or needs_token()):
            raise _OPEN
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(
                address=address,
                namespace=f"tenuto-{cluster}",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (*_BROKEN, ValueError, OSError) as error:
            raise ClusterLost(
                f"no Ray cluster answers at {address}, or it has another token than"
                f" RAY_AUTH_TOKEN, or ~/.ray/auth_token, here: {_line(error)}"
            ) from None
        if not insecure:
            try:
                self._check_tokens()
            except (ClusterOpen, ClusterLost):
                ray.shutdown()
                raise

    def _check_tokens(self) -> None:
        """Check that Ray needs a token on one machine; no other one can join those that need it."""
        with _reachable():
            answer = ray.remote(num_cpus=0)(needs_token).remote()
            if not ray.get(answer, timeout=6 * _ANSWER_S):
                raise _OPEN

    def close(self) -> None:
        """Leave the cluster; keepers and nodes go on."""
        ray.shutdown()

    def machines(self) -> frozenset[str]:
        """Return the ids of the machines that are alive and have processors for nodes."""
        with _reachable():
            return frozenset(
                each["NodeID"]
                for each in ray.nodes()
                if each["Alive"] and each["Resources"].get("CPU", 0) > 0
            )

    def found(self, machines: frozenset[str]) -> Sequence[Found]:
        """Return the keepers of the cluster, and on these machines the nodes without one."""
        with _reachable():
            found: dict[str, Found] = {}
            for name in ray.util.list_named_actors():
                # One that has died since is gone, and one that does not answer is looked at later.
                with contextlib.suppress(ValueError):
                    self._actors[name] = ray.get_actor(name)
                    found[name] = Found(name, generation_of(name))
            survey = ray.remote(num_cpus=0)(nodes_here)
            asked_for = {
                machine: survey.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=False)
                ).remote(self._cluster)
                for machine in machines
            }
            for machine, answer in asked_for.items():
                for name, generation in ray.get(answer, timeout=6 * _ANSWER_S):
                    found.setdefault(name, Found(name, generation, machine, kept=False))
            return list(found.values())

    def place(self, name: str, plan: Plan, generation: int, machine: str = "") -> None:
        """Start a keeper, on a machine or spread over all."""
        where = NodeAffinitySchedulingStrategy(machine, soft=False) if machine else "SPREAD"
        with _reachable():
            actor = ray.remote(KeeperActor).options(
                name=name,
                lifetime="detached",
                num_cpus=plan.cpus,
                max_restarts=0,
                scheduling_strategy=where,
            )
            self._actors[name] = actor.remote(self._cluster, name, plan, generation)

    def look(self, names: Sequence[str]) -> Mapping[str, Seen]:
        """Return the keepers that answer within a second, and those that have died."""
        with _reachable():
            answers = {self._actors[name].look.remote(): name for name in names}
            if not answers:
                return {}
            done, _ = ray.wait(list(answers), num_returns=len(answers), timeout=1)
            seen: dict[str, Seen] = {}
            for answer in done:
                try:
                    machine, sight = ray.get(answer)
                except _GONE:
                    seen[answers[answer]] = Seen("", None)
                except failures.ActorUnavailableError:
                    continue
                else:
                    seen[answers[answer]] = Seen(machine, sight)
            return seen

    def drain(self, name: str) -> None:
        """Let a node end. A keeper that finds no place is ended at once."""
        with _reachable():
            self._actors[name].drain.remote()

    def remove(self, name: str) -> None:
        """End a keeper."""
        with _reachable():
            ray.kill(self._actors.pop(name))


def needs_token() -> bool:
    """Return whether Ray on this machine answers only those with its token."""
    return os.environ.get("RAY_AUTH_MODE") == "token"


def nodes_here(cluster: str) -> list[tuple[str, int]]:
    """Return the names and generations of the nodes that run on this machine."""
    folder = _folder(cluster)
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    processes = ((path.name, node_process.adopted(path)) for path in paths)
    return [(name, process.generation) for name, process in processes if process]


def _folder(cluster: str) -> Path:
    """Return the folder of the nodes of a cluster on this machine."""
    return state_folder(os.environ) / "tenuto" / "nodes" / cluster


@contextlib.contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise ClusterLost(f"the Ray cluster does not answer: {_line(error)}") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
