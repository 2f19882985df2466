"""The folder of a cluster: the plan, the addresses for fronts, and the state that was last seen."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tenuto.cluster.files import replace_text
from tenuto.cluster.roster import Member

_PATIENCE_S: Final = 2.0
_LOOK_S: Final = 0.05


class InUseError(Exception):
    """Another process keeps this cluster."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The wanted nodes of a cluster.

    Attributes:
        least: Fewest nodes.
        most: Most nodes; with `least` the same, their number is fixed.
        generation: Counted up by an upgrade. Nodes of another one are replaced.
        arguments: Of `tenuto serve` on each node.
        cpus: Processors that a node needs.
        ports: The first and the last port that nodes use.
        grace_s: Time for running completions to end in a drain, in seconds.
        ending: All nodes are to end.
        cool_down_s: Time without a waiting request before a node is taken away, in seconds.
        name: Of the nodes in the Ray cluster.
    """

    least: int
    most: int
    generation: int = 1
    arguments: tuple[str, ...] = ()
    cpus: float = 1.0
    ports: tuple[int, int] = (8100, 8199)
    grace_s: float = 600.0
    ending: bool = False
    cool_down_s: float = 300.0
    name: str = "tenuto"


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a cluster when it was last seen.

    Attributes:
        members: The nodes.
        target: Wanted nodes.
        detail: What it waits for; empty if nothing.
    """

    members: tuple[Member, ...] = ()
    target: int = 0
    detail: str = ""


class ClusterFolder:
    """The files of a cluster. Each is replaced as a whole.

    Args:
        path: The folder, made if it is missing.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.nodes = path / "nodes"
        self._plan, self._status, self._lock = (
            path / name for name in ("plan.json", "status.json", "lock")
        )

    def plan(self) -> Plan | None:
        """Return the plan; None before the first one.

        Raises:
            ValueError: The file is invalid.
        """
        try:
            values = json.loads(self._plan.read_text())
        except FileNotFoundError:
            return None
        try:
            arguments, ports = tuple(values.pop("arguments")), tuple(values.pop("ports"))
            return Plan(arguments=arguments, ports=ports, **values)
        except (KeyError, TypeError, AttributeError):
            raise ValueError(f"{self._plan}: not a plan of this version") from None

    def set_plan(self, plan: Plan) -> None:
        """Replace the plan."""
        replace_text(self._plan, json.dumps(asdict(plan)))

    def remove_plan(self) -> None:
        """Remove the plan, after all nodes have ended."""
        self._plan.unlink(missing_ok=True)

    def status(self) -> Status:
        """Return what was last seen."""
        try:
            values = json.loads(self._status.read_text())
            members = tuple(Member(**each) for each in values["members"])
            return Status(members, values["target"], values["detail"])
        except (OSError, ValueError, TypeError, KeyError):
            return Status()

    def set_status(self, status: Status) -> None:
        """Replace what was seen."""
        replace_text(self._status, json.dumps(asdict(status)))

    def set_nodes(self, addresses: Sequence[str]) -> None:
        """Write the addresses for fronts; without any, the file remains as it is."""
        text = "".join(f"{each}\n" for each in addresses)
        try:
            same = self.nodes.read_text() == text
        except OSError:
            same = False
        if addresses and not same:
            replace_text(self.nodes, text)

    @property
    def kept(self) -> bool:
        """Whether a process keeps this cluster now."""
        try:
            with self.keep(patience_s=0):
                return False
        except InUseError:
            return True

    @contextmanager
    def keep(self, patience_s: float = _PATIENCE_S) -> Iterator[None]:
        """Be the process that keeps this cluster, in the block.

        Args:
            patience_s: Time to wait for another one to end. `kept` has the lock for a moment, too,
                and the system may release that of a killed process after its end.

        Raises:
            InUseError: Another one is.
        """
        latest = time.monotonic() + patience_s
        with self._lock.open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= latest:
                        raise InUseError from None
                time.sleep(_LOOK_S)
            yield
