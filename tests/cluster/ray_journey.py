"""Nodes on a Ray cluster of a head and two machines, with requests all the time: `make test-ray`.

Not in a file named `test_…`, because the other tests need no Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from benchmarks.fleet import ray_machines
from benchmarks.fleet.chaos import Process
from benchmarks.fleet.ray_machines import add_machine, files_with, start, stores_with
from tenuto.cluster import node_process
from tenuto.cluster.node_process import NodeProcess
from tenuto.cluster.plan import ClusterFolder

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(find_spec("ray") is None, reason="there is no Ray for this machine"),
    pytest.mark.filterwarnings("ignore"),  # of Ray's own modules
]

PLANTED = "xylophone-4711-quartz"
KEY = "sk-of-the-nodes"
CONTROL = "in-an-object-of-ray-2942"
PATIENCE_S = 180.0
# Waiting ones, of which there are thirty, have several times the 2048 tokens of the policy.
LONG = " The seven ships of the harbour sail at dawn." * 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the folder of Ray's files, with Ray's settings; leave no process of the test."""
    for name in [each for each in os.environ if each.startswith("RAY_")]:
        monkeypatch.delenv(name)
    state = str(tmp_path / "state")
    with ray_machines.folder_of_sessions() as folder:
        for name, value in ray_machines.settings(folder, Path(state)).items():
            monkeypatch.setenv(name, value)
        yield folder
        ray_machines.end_processes("XDG_STATE_HOME", state)


class Journey:
    """A front, its clients, and `tenuto cluster up` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = ClusterFolder(folder / "cluster")
        self.ends: list[str] = []
        self._folder = folder
        hashed = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
        (folder / "node.toml").write_text(
            f'[server]\napi_keys = ["{hashed}"]\n[engine.local]\nthreads = 1\nmax_running = 4\n'
        )
        (folder / "front.toml").write_text(
            '[engine]\nname = "routes"\n[engine.upstreams.fleet]\nkind = "pool"\n'
            f'nodes_file = "{self.files.nodes}"\napi_key = "{KEY}"\nhang_s = 30.0\n'
        )
        serve = ("-m", "tenuto", "serve", "--port", "PORT")
        self.front = Process(*serve, "--config", str(folder / "front.toml"))
        self._up: subprocess.Popen[bytes] | None = None

    def up(self, address: str, *options: str) -> None:
        """Start `tenuto cluster up`."""
        command = ("up", "--address", address, "--folder", str(self._folder / "cluster"), *options)
        with (self._folder / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "tenuto", "cluster", *command], stdout=log, stderr=log
            )

    async def end_up(self, number: signal.Signals) -> int:
        """Send `up` a signal, and return its exit code."""
        assert self._up
        self._up.send_signal(number)
        return await asyncio.to_thread(self._up.wait)

    async def refused(self, *arguments: str, **variables: str) -> str:
        """Return the error of an `up` that ends by itself."""
        command = (sys.executable, "-m", "tenuto", "cluster", "up", "--folder")
        process = await asyncio.create_subprocess_exec(
            *(*command, str(self._folder / "refused"), *arguments),
            env={**os.environ, "RAY_gcs_server_port_wait_time_s": "2", **variables},
            stderr=asyncio.subprocess.PIPE,
        )
        _, error = await asyncio.wait_for(process.communicate(), PATIENCE_S)
        assert process.returncode == 1, error.decode()
        return error.decode()

    async def call(self, *arguments: str) -> None:
        """Run another command of `tenuto cluster`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tenuto", "cluster", *arguments),
            *("--folder", str(self._folder / "cluster")),
        )
        assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 0

    async def until(self, count: int, holds: Callable[[list[str]], bool] | None = None) -> None:
        """Wait for a number of nodes that are ready."""
        latest = time.monotonic() + PATIENCE_S
        while True:
            ready = [each.name for each in self.files.status().members if each.ready]
            if len(ready) == count and (holds is None or holds(ready)):
                return
            assert time.monotonic() < latest, (self.files.status(), self.log())
            await asyncio.sleep(0.2)

    async def found(self, count: int) -> None:
        """Wait until `up` has found nodes that ran before it, and sees them."""
        latest = time.monotonic() + PATIENCE_S
        while self.log().rpartition("Fronts read")[2].count(": found running") < count:
            assert time.monotonic() < latest, self.log()
            await asyncio.sleep(0.2)

    def log(self) -> str:
        """Return the output of `up`."""
        return (self._folder / "up.log").read_text()

    async def queued(self, tokens: int) -> None:
        """Wait until prompts of this number of tokens wait."""
        latest = time.monotonic() + PATIENCE_S
        while sum(each.waiting_tokens for each in self.files.status().members) < tokens:
            assert time.monotonic() < latest, self.files.status()
            await asyncio.sleep(0.1)

    async def ended(self, count: int) -> None:
        """Wait until this number of node processes is left."""
        latest = time.monotonic() + PATIENCE_S
        while len(self.processes()) != count:
            assert time.monotonic() < latest, self.files.status()
            await asyncio.sleep(0.1)

    async def explained(self, text: str) -> None:
        """Wait for a line of `up`."""
        latest = time.monotonic() + PATIENCE_S
        while text not in self.log():
            assert time.monotonic() < latest, self.log()
            await asyncio.sleep(0.2)

    def processes(self) -> set[NodeProcess]:
        """Return the running node processes."""
        found = (self._folder / "state").glob("tenuto/nodes/*/*")
        return {each for each in map(node_process.adopted, found) if each}

    @contextlib.asynccontextmanager
    async def traffic(self, clients: int, prompt: str = "") -> AsyncIterator[None]:
        """Send requests in the block, each after the end of the one before, of some clients."""
        busy = True

        async def client(http: aiohttp.ClientSession, number: int) -> None:
            while busy:
                text = f"{PLANTED} Tell me of {number} ships.{prompt}"
                self.ends.append(await complete(http, self.front.url, text))

        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            tasks = [asyncio.create_task(client(http, number)) for number in range(clients)]
            try:
                yield
                busy = False
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def more(self, count: int) -> None:
        """Wait for more responses."""
        wanted, latest = len(self.ends) + count, time.monotonic() + PATIENCE_S
        while len(self.ends) < wanted:
            assert time.monotonic() < latest
            await asyncio.sleep(0.1)

    def close(self) -> None:
        """Kill all that is left."""
        self.front.kill()
        if self._up and self._up.poll() is None:
            self._up.kill()
            self._up.wait()


async def complete(http: aiohttp.ClientSession, url: str, question: str) -> str:
    """Return the reason of the end of a stream."""
    body: dict[str, Any] = {
        "model": "claude-2.1",
        "prompt": f"\n\nHuman: {question}\n\nAssistant:",
        "max_tokens_to_sample": 60,
        "temperature": 0,
        "stream": True,
    }
    headers = {"anthropic-version": "2023-06-01"}
    async with http.post(f"{url}/v1/complete", json=body, headers=headers) as response:
        text = await response.text()
    if response.status != 200:
        return text
    event = json.loads(text.rpartition("data: ")[2])
    return str(event.get("stop_reason") or event)


@contextlib.contextmanager
def object_with(text: str, address: str) -> Iterator[None]:
    """Keep an object with a text in the cluster during the block."""
    program = (
        "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR');"
        " kept = ray.put(sys.argv[2].encode() * 9999); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, address, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


async def test_nodes_come_go_and_outlive_the_head_and_no_request_fails(
    tmp_path: Path, sessions: Path
) -> None:
    began, journey = time.monotonic(), Journey(tmp_path)

    def report(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s, {len(journey.ends):4} responses: {text}")

    cluster = start(2)
    report("Ray runs")
    try:
        config = str(tmp_path / "node.toml")
        journey.up(cluster.address, *("--nodes", "1", "--config", config, "--cool-down", "3"))
        await journey.until(1)
        journey.front.start()
        async with aiohttp.ClientSession() as http:
            await journey.front.ready(http)
        report("one node")

        await journey.call("scale", "1:3")
        async with journey.traffic(40, LONG):
            await journey.queued(2048)
            await journey.until(3)
            report("three nodes by load")
        await journey.until(1)
        await journey.ended(1)
        report("one node again, without load")

        async with journey.traffic(4):
            await journey.call("scale", "3")
            await journey.more(8)
            report("three nodes")

            await journey.call("scale", "1")
            await journey.until(1)
            assert len(journey.processes()) == 1
            report("one node again")

            await journey.call("scale", "2")
            before = {each.name for each in journey.files.status().members}
            await journey.call("upgrade")
            await journey.until(2, lambda ready: not before & set(ready))
            report("upgraded")

            # Ctrl-C ends no node, and the next `up` finds them.
            nodes = journey.processes()
            assert await journey.end_up(signal.SIGINT) == 130, journey.log()
            await journey.more(4)
            assert journey.processes() == nodes
            journey.up(cluster.address)
            await journey.found(2)
            assert journey.processes() == nodes
            report("taken over after Ctrl-C")

            # A worker of Ray ends, and the node of its keeper does not.
            keeper = ray_machines.processes("XDG_STATE_HOME", str(tmp_path / "state"), "Keeper")[0]
            os.kill(keeper, signal.SIGKILL)
            await journey.explained(": its keeper died; another one takes over")
            await journey.more(4)
            assert journey.processes() == nodes
            report("a keeper is gone, and its node taken over")

            # A machine is gone: its node too, as with a real machine. The other one is full.
            await journey.call("scale", "3")
            machines = [each.machine for each in journey.files.status().members]
            gone = min(cluster.worker_nodes, key=lambda each: machines.count(each.node_id))
            (member,) = (
                each for each in journey.files.status().members if each.machine == gone.node_id
            )
            (process,) = (each for each in journey.processes() if each.address == member.address)
            await asyncio.to_thread(cluster.remove_node, gone, allow_graceful=False)
            process.kill()
            await journey.explained("no machine has room for node-")
            await journey.until(2, lambda ready: member.name not in ready)
            report("a machine is gone, and there is no room for its node")
            add_machine(cluster)
            await journey.until(3)
            report("the node is on a new machine")

            await journey.call("scale", "2")
            assert stores_with(PLANTED, tmp_path / "state") == 0
            with object_with(CONTROL, cluster.address):
                assert stores_with(CONTROL, tmp_path / "state") == 1
            error = await journey.refused("--address", cluster.address, RAY_AUTH_TOKEN="0" * 64)
            assert "it has another token than RAY_AUTH_TOKEN" in error
            report("nothing of a request in the object stores")

            nodes = journey.processes()
            await asyncio.to_thread(cluster.remove_node, cluster.head_node, allow_graceful=False)
            await journey.more(40)
            assert journey.processes() == nodes
            report("the head is gone")

            await journey.end_up(signal.SIGKILL)
            await asyncio.to_thread(cluster.shutdown)
            cluster = start(1)
            journey.up(cluster.address)
            await journey.found(2)
            await journey.until(2)
            assert journey.processes() == nodes
            await journey.more(8)
            report("taken over by a new head")
        await journey.call("down", "--address", cluster.address)
        assert await journey.end_up(signal.SIGCONT) == 0, journey.log()
        assert journey.processes() == set()
        report("down")
        assert set(journey.ends) <= {"stop_sequence", "max_tokens"}
        assert files_with(PLANTED, sessions) == []
        assert files_with(KEY, sessions) == []
    finally:
        journey.close()
        await asyncio.to_thread(cluster.shutdown)


async def test_a_cluster_that_needs_no_token_is_refused_unless_insecure_is_given(
    tmp_path: Path, sessions: Path
) -> None:
    journey = Journey(tmp_path)
    refusal = "the token authentication of Ray is off, so that all that reach the cluster can run"
    with ray_machines.cluster_without_tokens(tmp_path / "head.log") as address:
        assert refusal in await journey.refused("--address", address)
        assert refusal in await journey.refused("--address", address, RAY_AUTH_MODE="disabled")
        journey.up(address, "--insecure")
        await journey.explained("Fronts read the addresses of the nodes from")
        assert await journey.end_up(signal.SIGINT) == 130, journey.log()
