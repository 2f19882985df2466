"""A front before three nodes that really run, one of which fails under load."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.conftest import PATIENCE_S, RunningServer, running_server

pytestmark = pytest.mark.anyio

HEADERS = {"anthropic-version": "2023-06-01", "tenuto-usage": "each"}
FIELDS: dict[str, Any] = {
    "model": "claude-2.1",
    "max_tokens_to_sample": 400,
    "temperature": 0,
    "stream": True,
}
PROMPTS = [
    f"\n\nHuman: Tell me a long story about {number} ships and a king.\n\nAssistant:"
    for number in range(48)
]


@contextmanager
def fleet(
    folder: Path, hang_s: float = 30.0, fronts: int = 1
) -> Iterator[tuple[list[RunningServer], list[RunningServer]]]:
    """Run three nodes and their fronts."""
    with ExitStack() as stack:
        node = folder / "node.toml"
        # This runtime writes the same text whatever runs beside it. All of the text before a seam
        # is computed at the next node, and nothing copied.
        node.write_text(
            '[engine.local]\nruntime = "llamacpp"\nthreads = 1\nprefix_cache = "off"\n'
            "context = 1024\nmax_running = 48\n"
        )
        nodes = [
            stack.enter_context(running_server("--config", str(node), wait=False)) for _ in range(3)
        ]
        for each in nodes:
            await_ready(each)
        front = folder / "front.toml"
        front.write_text(
            '[engine]\nname = "routes"\n[engine.upstreams.fleet]\nkind = "pool"\n'
            f"nodes = {json.dumps([each.url for each in nodes])}\n"
            # The nodes share two cores with other work, and are not to be given up for that.
            f"hang_s = {hang_s}\nresume = 3\n"
        )
        started = [
            stack.enter_context(running_server("--config", str(front))) for _ in range(fronts)
        ]
        yield nodes, started


def await_ready(server: RunningServer) -> None:
    transport = httpx2.HTTPTransport(retries=3)
    with httpx2.Client(transport=transport, timeout=PATIENCE_S) as client:
        # A request waits for the model.
        body = FIELDS | {"prompt": PROMPTS[0], "max_tokens_to_sample": 1, "stream": False}
        assert client.post(f"{server.url}/v1/complete", json=body, headers=HEADERS).is_success


async def busiest(client: httpx2.AsyncClient, nodes: list[RunningServer]) -> RunningServer:
    """Return the node with the most running completions."""
    loads = [(await client.get(f"{node.url}/ready")).json()["running"] for node in nodes]
    return nodes[loads.index(max(loads))]


@dataclass(frozen=True)
class Answer:
    """A whole answer, with the numbers of tokens of the prompt and of the text."""

    text: str
    input_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, text: str, event: dict[str, Any]) -> Answer:
        """Return the answer with a text, and this last event or this response."""
        assert event["stop_reason"] == "stop_sequence"
        usage = event["usage"]
        return cls(text, usage["input_tokens"], usage["output_tokens"])


class Streams:
    """Streams of one server.

    Attributes:
        characters: Length of all their texts.
        answers: What they returned, by the number of the prompt.
        times: When each text came, by the number of the prompt.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.characters = 0
        self.answers: dict[int, Answer] = {}
        self.times: dict[int, list[float]] = {}

    @property
    def begun(self) -> int:
        """Number of streams with some text."""
        return len(self.times)

    async def plain(self, client: httpx2.AsyncClient, number: int) -> None:
        """Send a request for a prompt that is answered as a whole."""
        body = FIELDS | {"prompt": PROMPTS[number], "stream": False}
        response = await client.post(f"{self._url}/v1/complete", json=body, headers=HEADERS)
        assert response.status_code == 200
        answer = response.json()
        self.answers[number] = Answer.of(answer["completion"], answer)

    async def run(self, client: httpx2.AsyncClient, number: int) -> None:
        """Send a request for a prompt that is answered as a stream."""
        body = FIELDS | {"prompt": PROMPTS[number]}
        text = ""
        event: dict[str, Any] = {}
        async with client.stream(
            "POST", f"{self._url}/v1/complete", json=body, headers=HEADERS
        ) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    assert event["type"] != "error", event
                    if event.get("completion"):
                        text += event["completion"]
                        self.characters += len(event["completion"])
                        self.times.setdefault(number, []).append(time.monotonic())
        self.answers[number] = Answer.of(text, event)

    def longest_pause(self, since: float) -> float:
        """Return the longest time between two texts of a stream that ends after a moment."""
        return max(
            after - before
            for times in self.times.values()
            for before, after in pairwise(times)
            if after > since
        )


async def undisturbed_by(
    client: httpx2.AsyncClient, node: RunningServer, count: int = len(PROMPTS)
) -> dict[int, Answer]:
    """Return the answers of one node to the first prompts."""
    streams = Streams(node.url)
    await asyncio.gather(*(streams.plain(client, number) for number in range(count)))
    return streams.answers


# A node that is stopped is given up after `hang_s`, so that one that only waits for a processor is
# given up as well if that is short.
@pytest.mark.parametrize(
    ("name", "hang_s"),
    [(signal.SIGKILL, 30.0), (signal.SIGSTOP, 5.0)],
    ids=["SIGKILL", "SIGSTOP"],
)
async def test_no_caller_notices_that_a_node_died(
    name: signal.Signals, hang_s: float, tmp_path: Path
) -> None:
    limits = httpx2.Limits(max_connections=None)
    with fleet(tmp_path, hang_s) as (nodes, [front]):
        async with httpx2.AsyncClient(timeout=PATIENCE_S, limits=limits) as client:
            undisturbed = await undisturbed_by(client, nodes[0])
            streams = Streams(front.url)
            begin = time.monotonic()
            running = [
                asyncio.create_task(streams.run(client, number)) for number in range(len(PROMPTS))
            ]
            while streams.begun < len(PROMPTS):
                await asyncio.sleep(0.005)
            prompts_s = time.monotonic() - begin
            half = sum(len(answer.text) for answer in undisturbed.values()) / 2
            while streams.characters < half:
                await asyncio.sleep(0.005)
            (await busiest(client, nodes)).process.send_signal(name)
            failed = time.monotonic()
            await asyncio.gather(*running)
            metrics = (await client.get(f"{front.url}/metrics")).text
    (resumes,) = re.findall(r"^tenuto_upstream_resumes_total (\S+)$", metrics, re.MULTILINE)
    assert float(resumes) >= 1
    assert streams.answers == undisturbed
    # A third of the streams is read by two nodes, each with 24 tokens of its prompt and about 90 of
    # its text: 2.4 times as much work for each node as the prompts were for three, beside others.
    noticed_s = hang_s if name is signal.SIGSTOP else 0.0
    assert streams.longest_pause(failed) < noticed_s + 2.0 + 5 * prompts_s


async def test_clients_of_a_killed_front_go_on_at_the_second_one(tmp_path: Path) -> None:
    limits = httpx2.Limits(max_connections=None)
    streams, plain = range(8), range(8, 12)
    with fleet(tmp_path, fronts=2) as (nodes, [first, second]):
        async with httpx2.AsyncClient(timeout=PATIENCE_S, limits=limits) as client:
            undisturbed = await undisturbed_by(client, nodes[0], len(streams) + len(plain))
            lost, answered = Streams(first.url), Streams(second.url)

            async def run(number: int) -> None:
                """Send a request, and repeat it at the second front if the connection is lost."""
                try:
                    await (lost.run if number in streams else lost.plain)(client, number)
                except httpx2.TransportError:
                    await (answered.run if number in streams else answered.plain)(client, number)

            running = [asyncio.create_task(run(number)) for number in (*plain, *streams)]
            while lost.begun < len(streams) // 2:
                await asyncio.sleep(0.005)
            first.process.kill()
            await asyncio.gather(*running)
            async with asyncio.timeout(PATIENCE_S):
                for node in nodes:
                    # What the first front had begun has ended there, too.
                    while (await client.get(f"{node.url}/ready")).json()["running"]:
                        await asyncio.sleep(0.01)
    # Each is answered by one front, as a whole.
    assert answered.answers
    assert not lost.answers.keys() & answered.answers.keys()
    assert lost.answers | answered.answers == undisturbed
