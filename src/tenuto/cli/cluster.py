"""`tenuto cluster`: nodes on the machines of a Ray cluster."""

from __future__ import annotations

import dataclasses
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tenuto.cli import options, output
from tenuto.cli.failure import Failure, Stopped
from tenuto.cli.terminal import note

if TYPE_CHECKING:
    from tenuto.cluster.controller import Placement
    from tenuto.cluster.plan import ClusterFolder, Plan

cluster: typer.Typer = typer.Typer(
    help="Place nodes on the machines of a Ray cluster, and keep them running.",
    rich_markup_mode=None,
)
_LOOK_S: Final = 1.0
_RETRY_S: Final = 5.0

Folder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="The folder of the plan, the state, and the file `nodes` for fronts.  "
        "[default: $XDG_STATE_HOME/tenuto/cluster]",
    ),
]
Nodes = Annotated[
    str | None,
    typer.Option(metavar="N|MIN:MAX", help="How many nodes; from MIN to MAX by their load."),
]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The head of the Ray cluster.  [default: $RAY_ADDRESS]"),
]


@cluster.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        output.line(context.get_help())


@cluster.command("up", short_help="Start nodes, and keep them as planned until Ctrl-C.")
def up(
    nodes: Nodes = None,
    address: Address = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Name of these nodes in the Ray cluster.  [default: tenuto]"
        ),
    ] = None,
    folder: Folder = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Settings file of the nodes, at this path on each machine; it has their API key.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="As that of `tenuto serve`, on each node.")
    ] = None,
    cpus: Annotated[
        float | None,
        options.number("Processors that a node takes in Ray.  [default: 1]", 0.1, 1024),
    ] = None,
    ports: Annotated[
        str | None,
        typer.Option(metavar="FIRST-LAST", help="Ports of the nodes.  [default: 8100-8199]"),
    ] = None,
    grace: Annotated[
        float | None,
        options.number(
            "Time for running answers to end before a node ends.  [default: 600]",
            *(0, 3600, "SECONDS"),
        ),
    ] = None,
    cool_down: Annotated[
        float | None,
        options.number(
            "Time without waiting requests before one of MIN:MAX nodes ends.  [default: 300]",
            *(1, 86_400, "SECONDS"),
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Allow nodes without API keys, and Ray without RAY_AUTH_MODE=token."
        ),
    ] = False,
) -> None:
    """Start nodes on the machines of a Ray cluster, and keep them as planned until Ctrl-C.

    Nodes are `tenuto serve` processes. One that dies is started again, and one on a machine that
    is gone is replaced on another. Their addresses are in the file `nodes` of the folder, which a
    front on this machine reads: `nodes_file` of its pool. Prompts never pass through Ray.

    Ctrl-C ends this command and no node; call it again to go on. Options that are not given stay
    as they were. After a change of --config or --model, call `tenuto cluster upgrade`.

    \b
    export RAY_AUTH_MODE=token                # on all machines; `ray get-auth-token --generate`
    tenuto cluster up --address 10.0.0.1:6379 --nodes 2:8 --config /etc/tenuto/node.toml
    """  # noqa: D301 - `\b` tells typer to keep these lines
    from tenuto.cluster.plan import InUseError, Plan

    files = _files(folder)
    plan = files.plan() or Plan(1, 1)
    least, most = _bounds(nodes) if nodes else (plan.least, plan.most)
    config, model = (
        given or _given_before(plan, option)
        for given, option in ((config, "--config"), (model, "--model"))
    )
    insecure = insecure or "--insecure" in plan.arguments
    plan = dataclasses.replace(
        plan,
        least=least,
        most=most,
        arguments=(
            *(("--config", config) if config else ()),
            *(("--model", model) if model else ()),
            *(("--insecure",) if insecure else ()),
        ),
        ending=False,
        name=name or plan.name,
        cpus=plan.cpus if cpus is None else cpus,
        ports=_ports(ports) if ports else plan.ports,
        grace_s=plan.grace_s if grace is None else grace,
        cool_down_s=plan.cool_down_s if cool_down is None else cool_down,
    )
    try:
        with files.keep():
            files.set_plan(plan)
            _keep(files, _Connection(plan.name, address, insecure))
    except InUseError:
        raise Failure("another `tenuto cluster up` runs with this folder", 2) from None
    except KeyboardInterrupt:
        raise Stopped("The nodes go on. `tenuto cluster down` ends them.") from None


@cluster.command("status", short_help="List the nodes.")
def status(folder: Folder = None) -> None:
    """List the nodes as they were last seen. Works without Ray."""
    from tenuto.cli.table import print_table

    files = _files(folder)
    seen = files.status()
    rows = [
        (
            *(each.name, each.address or "-"),
            "draining" if each.draining else "ready" if each.ready else "starting",
            *(str(each.generation), str(each.waiting), f"{each.kv_used:.0%}"),
        )
        for each in seen.members
    ]
    titles = ("NODE", "ADDRESS", "STATE", "GENERATION", "WAITING", "KV")
    print_table(titles, rows, titles[3:])
    output.line(f"{sum(each.ready for each in seen.members)} of {seen.target} nodes are ready.")
    if seen.detail:
        note(seen.detail)
    if not files.kept:
        note("`tenuto cluster up` does not run with this folder: this is what it saw last.")


@cluster.command("scale", short_help="Change the number of nodes.")
def scale(
    nodes: Annotated[
        str, typer.Argument(metavar="N|MIN:MAX", help="How many; from MIN to MAX by their load.")
    ],
    folder: Folder = None,
) -> None:
    """Change the number of nodes, and wait until it is reached.

    With MIN:MAX, a node is added when for 10 seconds prompts of 2048 tokens for each node wait, or
    4 requests for each node, and one is taken away when for 5 minutes (`up --cool-down`) none waits
    and the others would be at most half full. Nodes that go end their running completions first.
    Ctrl-C ends the waiting only.

    \b
    tenuto cluster scale 3
    tenuto cluster scale 1:5
    """  # noqa: D301 - `\b` tells typer to keep these lines
    least, most = _bounds(nodes)
    files = _files(folder)
    plan = dataclasses.replace(_plan(files), least=least, most=most)
    files.set_plan(plan)
    _settle(files, plan)


@cluster.command("upgrade", short_help="Replace all nodes, one at a time.")
def upgrade(folder: Folder = None) -> None:
    """Replace all nodes, one at a time: for a new version of Tenuto, of settings or of the model.

    A new node answers before an old one is drained, so there has to be room for one more; where
    no room is left, an old one makes room, if another one answers.
    """
    files = _files(folder)
    before = _plan(files)
    plan = dataclasses.replace(before, generation=before.generation + 1)
    files.set_plan(plan)
    _settle(files, plan)


@cluster.command("down", short_help="Drain and end all nodes.")
def down(
    address: Address = None,
    folder: Folder = None,
) -> None:
    """Drain and end all nodes, and `tenuto cluster up` with them.

    The address is used only if `tenuto cluster up` does not run.
    """
    from tenuto.cluster.plan import InUseError

    files = _files(folder)
    plan = dataclasses.replace(_plan(files), ending=True)
    files.set_plan(plan)
    try:
        with files.keep():
            _keep(files, _Connection(plan.name, address, "--insecure" in plan.arguments))
    except InUseError:
        while files.plan() is not None and files.kept:
            time.sleep(_LOOK_S)
        note("All nodes have ended.")


@dataclasses.dataclass(frozen=True)
class _Connection:
    """The way to the Ray cluster."""

    name: str
    address: str | None
    insecure: bool

    def open(self) -> Placement:
        """Connect to the cluster.

        Raises:
            ClusterLost: It does not answer.
            ClusterOpen: It answers all that reach it.
        """
        from tenuto.core.extras import needs

        address = self.address or os.environ.get("RAY_ADDRESS", "")
        if not address:
            raise Failure("which cluster? Give --address HOST:PORT, or set RAY_ADDRESS", 2)
        with needs("ray", "`tenuto cluster`"):
            from tenuto.cluster.ray_placement import RayPlacement
        return RayPlacement(self.name, address, insecure=self.insecure)


def _keep(files: ClusterFolder, connection: _Connection) -> None:
    """Bring the nodes to the plan, again and again, until the plan is that all end."""
    from tenuto.cluster.controller import ClusterLost, ClusterOpen, Controller

    try:
        placement = connection.open()
    except (ClusterLost, ClusterOpen) as error:
        raise Failure(str(error)) from None
    note(f"Fronts read the addresses of the nodes from {files.nodes}.")
    while True:
        controller, detail = Controller(files, placement, time.monotonic, note), ""
        try:
            while plan := files.plan():
                done = controller.step(plan)
                if done and plan.ending:
                    files.remove_plan()
                    note("All nodes have ended.")
                    return
                if (seen := files.status().detail) != detail:
                    detail = seen
                    note(detail)
                time.sleep(_LOOK_S)
            return
        except ClusterLost as error:
            note(f"{error}; the nodes go on, and it is tried again")
        finally:
            placement.close()
        while True:
            time.sleep(_RETRY_S)
            try:
                placement = connection.open()
            except ClusterLost:
                continue
            except ClusterOpen as error:
                raise Failure(str(error)) from None
            break


def _settle(files: ClusterFolder, plan: Plan) -> None:
    """Wait until the nodes are as planned."""
    if not files.kept:
        note("Noted. It is done when `tenuto cluster up` runs with this folder.")
        return
    shown = ""
    while files.kept and files.plan() == plan:
        seen = files.status()
        ready = [each for each in seen.members if each.ready and each.generation == plan.generation]
        text = f"{len(ready)} of {seen.target} nodes are ready"
        if (now := f"{text}: {seen.detail}" if seen.detail else f"{text}.") != shown:
            shown = now
            note(shown)
        as_planned = plan.least <= seen.target <= plan.most
        if as_planned and len(ready) == len(seen.members) == seen.target:
            return
        time.sleep(_LOOK_S)


def _files(folder: Path | None) -> ClusterFolder:
    from tenuto.cluster.plan import ClusterFolder
    from tenuto.settings.user_folders import state_folder

    try:
        return ClusterFolder(folder or state_folder(os.environ) / "tenuto" / "cluster")
    except RuntimeError:
        raise Failure(
            "there is no home folder to keep the plan in: give --folder, or set XDG_STATE_HOME", 2
        ) from None


def _plan(files: ClusterFolder) -> Plan:
    plan = files.plan()
    if plan is None:
        raise Failure("no cluster in this folder: start one with `tenuto cluster up`", 2)
    return plan


def _given_before(plan: Plan, option: str) -> str | None:
    """Return the value of an option of the nodes in a plan; None without it."""
    arguments = plan.arguments
    return arguments[arguments.index(option) + 1] if option in arguments else None


def _bounds(text: str) -> tuple[int, int]:
    """Return the fewest and the most nodes of `3` or `1:5`."""
    found = re.fullmatch(r"([0-9]{1,4})(?::([0-9]{1,4}))?", text)
    if found:
        least = int(found[1])
        most = int(found[2] or least)
        if 1 <= least <= most:
            return least, most
    raise Failure(f"{text!r} is no number of nodes: write it like 3, or 1:5", 2)


def _ports(text: str) -> tuple[int, int]:
    """Return the first and the last port of `8100-8199`."""
    found = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", text)
    if found and 1 <= int(found[1]) <= int(found[2]) <= 65535:
        return int(found[1]), int(found[2])
    raise Failure(f"{text!r} is no range of ports: write it like 8100-8199", 2)
