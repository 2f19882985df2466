"""A Ray cluster of several machines on this one, the memory of its objects, and its end.

All processes that a test starts have the folder of its state in their environment, also the nodes,
which are nobody's children, so that none is left whatever fails.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

# The least that Ray takes is 75 MiB.
_STORE: Final = 80 * 1024 * 1024
_OBJECTS = {"object_store_memory": _STORE}
_HEAD = {"num_cpus": 0, "include_dashboard": False, **_OBJECTS}


def settings(sessions: Path, state: Path) -> Mapping[str, str]:
    """Return the environment of a cluster with token authentication.

    Args:
        sessions: The folder of Ray's files.
        state: That of the nodes.
    """
    return {
        "RAY_TMPDIR": str(sessions),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Of Ray's own start; 30 s are short for machines with much to do.
        "RAY_gcs_server_port_wait_time_s": "120",
        "XDG_STATE_HOME": str(state),
    }


@contextlib.contextmanager
def folder_of_sessions() -> Iterator[Path]:
    """Make a folder for Ray's files in the block. Short, because Ray has sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="rt-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(machines: int) -> Any:
    """Start a Ray cluster: a head for no nodes, and machines for them.

    Ray sets handlers of signals, which only the main thread may do.
    """
    from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

    cluster = Cluster(initialize_head=True, head_node_args=_HEAD)
    for _ in range(machines):
        add_machine(cluster)
    return cluster


@contextlib.contextmanager
def cluster_without_tokens(log: Path) -> Iterator[str]:
    """Run a head that answers all that reach it; give its address.

    In processes of its own, because Ray keeps for each process whether it needs tokens.
    """
    options = ("--port=0", "--num-cpus=0", "--include-dashboard=false")
    with log.open("wb") as output:
        head = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                *(*options, f"--object-store-memory={_STORE}"),
            ],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            stdout=output,
            stderr=output,
        )
    try:
        latest = time.monotonic() + 120
        while not (found := re.search(r"ray start --address='([^']+)'", log.read_text())):
            assert time.monotonic() < latest, log.read_text()
            assert head.poll() is None, log.read_text()
            time.sleep(0.1)
        yield found[1]
    finally:
        head.terminate()
        head.wait()


def add_machine(cluster: Any) -> None:
    """Add a machine with room for two nodes."""
    cluster.add_node(num_cpus=2, **_OBJECTS)


def processes(name: str, value: str, command: str = "") -> list[int]:
    """Return the numbers of the other processes with a variable in their environment.

    Args:
        name: That of the variable.
        value: That of the variable.
        command: A part of their command line, or of the title that they have given themselves.
    """
    wanted = f"{name}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # Many have ended since, or belong to others.
        with contextlib.suppress(OSError):
            matches = wanted in (folder / "environ").read_bytes().split(b"\0")
            if matches and command.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [each for each in found if each != os.getpid()]


def end_processes(name: str, value: str) -> None:
    """Kill the processes with a variable in their environment, also those that they start.

    Agents of Ray live on for a minute when their head is gone.
    """
    latest = time.monotonic() + 30
    while (found := processes(name, value)) and time.monotonic() < latest:
        for each in found:
            with contextlib.suppress(OSError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.1)


def stores_with(text: str, state: Path) -> int:
    """Return how many of the object stores of a cluster have a text in them.

    Raises:
        AssertionError: No object store was found, so that nothing was searched.
    """
    stores: set[tuple[int, int]] = set()
    found = 0
    for each in processes("XDG_STATE_HOME", str(state)):
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{each}/fd").iterdir():
                # Ray removes the names of these files, and they stay open.
                if "plasma" not in link.readlink().name.split(" ")[0]:
                    continue
                status = link.stat()
                if (status.st_dev, status.st_ino) in stores or not status.st_blocks:
                    continue
                stores.add((status.st_dev, status.st_ino))
                found += text.encode() in link.read_bytes()
    assert stores
    return found


def files_with(text: str, folder: Path) -> list[Path]:
    """Return the files below a folder that have a text in them."""
    files = (each for each in folder.rglob("*") if each.is_file() and not each.is_symlink())
    return [each for each in files if text.encode() in each.read_bytes()]
