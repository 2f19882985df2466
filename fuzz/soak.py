"""A server under mixed load for as long as one likes: `make soak MINUTES=10`.

Clients ask at random: streamed and plain, short and up to the whole context, with beginnings
that others share, at temperature 0 and 1, prompts that are too long; and they leave at random:
before the answer, in the middle of it, or without ever reading it. In the end every slot must be
free, the memory of both processes as it was, and nobody may have been given another's text.

Each prompt names somebody whose name no other prompt has, and asks for that name. Answers at
temperature 0 are compared with what the same request was answered alone. A batch may round
differently than a single request, and then choose another token: such an answer is counted, and
must still hold its own name. None may hold another's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx2

Runtime = Literal["openvino", "llamacpp"]

_CLIENTS = 24
_PATIENCE_S = 120.0
_IDLE_S = 10.0
_REPORTS = 10
_HEADERS = {"anthropic-version": "2023-06-01", "content-type": "application/json"}
_PROMPTS = 48
_NAME_PARTS = ("bra", "kel", "mi", "zor", "van", "lu", "tri", "so", "pen", "da", "gu", "fi")
_FILLER = "\n\nHuman: What is 2 plus {}?\n\nAssistant: 2 plus {} is {}."
_STORY = "\n\nHuman: Tell me a long story about a fox called {}.\n\nAssistant:"
_OVERLOADED = "overloaded, refused"
_MODEL = "tenuto-mini"

# Memory that a process may have gained between the middle and the end: allocators keep what they
# once had, and at random the largest moment comes late.
_GROWTH_SHARE = 0.05
_GROWTH_MIB = 16.0


class SoakFailure(AssertionError):
    """The server lost, mixed up or kept something."""


@dataclass(frozen=True)
class Question:
    """A prompt, the name in it, and its completion without other load."""

    prompt: str
    name: str
    alone: frozenset[str]


@dataclass
class Figures:
    """Number of each outcome."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Server:
    """`tenuto serve`, and its worker."""

    pid: int
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def memory_mib(self) -> tuple[float, float]:
        """The resident memory of the parent and of its worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return _rss_mib(self.pid), sum(_rss_mib(int(child)) for child in children)

    def descriptors(self) -> int:
        """Return the number of the parent's open files and sockets."""
        return len([*Path(f"/proc/{self.pid}/fd").iterdir()])


def _rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def running_server(runtime: Runtime) -> Iterator[Server]:
    """A server with few places, so that requests have to wait for them."""
    with tempfile.TemporaryDirectory(prefix="tenuto-soak-") as folder:
        config = Path(folder) / "tenuto.toml"
        config.write_text(
            f'[engine.local]\nruntime = "{runtime}"\nmax_running = 12\nmax_waiting = 10\n'
        )
        log = Path(folder) / "log"
        command = [sys.executable, "-m", "tenuto", "serve", "--port", "0", "--config", str(config)]
        with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
            try:
                yield Server(process.pid, _address(process, log))
            finally:
                process.terminate()
                process.wait(_PATIENCE_S)
        bugs = [line for line in log.read_text().splitlines() if " ERROR " in line[:40]]
        if bugs:
            raise SoakFailure(f"the log tells of errors: {bugs[:3]}")


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("Ready: "):
                return line.split()[1].removesuffix("/v1/complete")
        time.sleep(0.05)
    raise SoakFailure(f"the server does not start: {log.read_text()}")


def questions(chance: random.Random, count: int) -> list[tuple[str, str]]:
    """Return prompts of many lengths, each with its unique name."""
    names: set[str] = set()
    while len(names) < count:
        names.add("".join(chance.choices(_NAME_PARTS, k=3)).capitalize())
    prompts = []
    for number, name in enumerate(sorted(names)):
        turns = "".join(
            _FILLER.format(n % 10, n % 10, n % 10 + 2)
            for n in range(chance.choice((0, 0, 1, 5, 20, 60)))
        )
        introduction = f"\n\nHuman: My name is {name}.\n\nAssistant: Hello, {name}!"
        # Half of them begin like others.
        begun = turns + introduction if number % 2 else introduction + turns
        prompts.append((f"{begun}\n\nHuman: What is my name?\n\nAssistant:", name))
    return prompts


def _body(prompt: str, **fields: Any) -> dict[str, Any]:
    return {"model": _MODEL, "prompt": prompt, "max_tokens_to_sample": 40, **fields}


async def _plain(client: httpx2.AsyncClient, body: dict[str, Any]) -> httpx2.Response:
    return await client.post("/v1/complete", json=body, headers=_HEADERS)


async def ask_alone(client: httpx2.AsyncClient, prompts: list[tuple[str, str]]) -> list[Question]:
    """Send one prompt after another; twice, because cached prompts may round differently.

    Raises:
        SoakFailure: The model repeats fewer than half of the names.
    """
    questions = []
    for prompt, name in prompts:
        body = _body(prompt, temperature=0)
        alone = [(await _plain(client, body)).json()["completion"] for _ in range(2)]
        if all(name in answer for answer in alone):
            questions.append(Question(prompt, name, frozenset(alone)))
    if len(questions) < len(prompts) / 2:
        raise SoakFailure("the model repeats fewer than half of the names")
    return questions


class Load:
    """Clients with random requests and disconnects."""

    def __init__(self, server: Server, questions: list[Question], chance: random.Random) -> None:
        self._server = server
        self._questions = questions
        self._names = frozenset(question.name for question in questions)
        self._chance = chance
        self.figures = Figures()

    async def client(self, until: float) -> None:
        """One client: one request after another."""
        kinds = (self._answer, self._story, self._leave, self._too_long, self._never_read)
        async with httpx2.AsyncClient(base_url=self._server.url, timeout=_PATIENCE_S) as client:
            while time.monotonic() < until:
                (kind,) = self._chance.choices(kinds, (60, 15, 20, 3, 2))
                refused = self.figures.ends[_OVERLOADED]
                try:
                    await kind(client)
                    if self.figures.ends[_OVERLOADED] > refused:
                        await asyncio.sleep(self._chance.random())
                except (httpx2.HTTPError, OSError, TimeoutError) as error:
                    self._is_wrong(f"{kind.__name__}: {type(error).__name__}: {error}")

    async def _answer(self, client: httpx2.AsyncClient) -> None:
        """Request a name, and read the whole response."""
        question = self._chance.choice(self._questions)
        body = _body(question.prompt, temperature=0)
        if self._chance.random() < 0.5:
            response = await _plain(client, body)
            if self._is_overload(response):
                return
            last = response.json()
            text = last["completion"]
        else:
            async with self._stream(client, body) as response:
                if self._is_overload(response):
                    return
                events = [json.loads(e.data) async for e in httpx2.EventSource(response)]
            pieces = [event["completion"] for event in events if "completion" in event]
            text, last = "".join(pieces), events[-1]
        self.judge(question, text, last)

    def judge(self, question: Question, text: str, last: dict[str, Any]) -> None:
        """Count a response: its text, and the last event or the whole plain response."""
        ended = last.get("stop_reason") in ("stop_sequence", "max_tokens")
        others = [name for name in self._names - {question.name} if name in text]
        if not ended or others or question.name not in text:
            self._is_wrong(f"{question.name} was answered {text!r} {last.get('stop_reason')}")
        elif text in question.alone:
            self.figures.ends["complete, as alone"] += 1
        else:
            self.figures.ends["complete, in other words"] += 1

    async def _story(self, client: httpx2.AsyncClient) -> None:
        """Read a different text each time, to its end."""
        question = self._chance.choice(self._questions)
        tokens = self._chance.choice((1, 10, 100, 600))
        body = _body(_STORY.format(question.name), max_tokens_to_sample=tokens)
        async with self._stream(client, body) as response:
            if self._is_overload(response):
                return
            events = [json.loads(each.data) async for each in httpx2.EventSource(response)]
        text = "".join(event.get("completion", "") for event in events)
        ended = events[-1].get("stop_reason") in ("stop_sequence", "max_tokens")
        others = [name for name in self._names - {question.name} if name in text]
        if not ended or others:
            self._is_wrong(f"a story of {question.name} ended as {events[-1]}, with {others}")
        self.figures.ends["complete, at random"] += 1

    async def _leave(self, client: httpx2.AsyncClient) -> None:
        """Disconnect before the answer, or in the middle of it."""
        question = self._chance.choice(self._questions)
        prompt = self._chance.choice((question.prompt, _STORY.format(question.name)))
        body = _body(prompt, max_tokens_to_sample=self._chance.choice((40, 1500)))
        if self._chance.random() < 0.5:
            response_task = asyncio.create_task(_plain(client, body))
            await asyncio.sleep(self._chance.choice((0.0, 0.001, 0.05, 0.3)))
            response_task.cancel()
            await asyncio.gather(response_task, return_exceptions=True)
        else:
            left = self._chance.randrange(20)
            async with self._stream(client, body) as response:
                if self._is_overload(response):
                    return
                async for _ in httpx2.EventSource(response):
                    left -= 1
                    if left < 0:
                        break
        self.figures.ends["left"] += 1

    async def _too_long(self, client: httpx2.AsyncClient) -> None:
        """Send a prompt longer than the context."""
        words = self._chance.choice((3000, 20_000))
        response = await _plain(client, _body("\n\nHuman:" + " word" * words + "\n\nAssistant:"))
        if self._is_overload(response):
            return
        if response.status_code != 400 or "too long" not in response.text:
            self._is_wrong(f"a prompt that is too long got {response.status_code}")
        self.figures.ends["too long, refused"] += 1

    async def _never_read(self, client: httpx2.AsyncClient) -> None:
        """Open a stream, read nothing, and break the connection after a while."""
        question = self._chance.choice(self._questions)
        body = _body(_STORY.format(question.name), max_tokens_to_sample=1500, stream=True)
        data = json.dumps(body).encode()
        head = "".join(f"{name}: {value}\r\n" for name, value in _HEADERS.items())
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port, limit=1)
        request = f"POST /v1/complete HTTP/1.1\r\nhost: localhost\r\n{head}"
        writer.write(f"{request}content-length: {len(data)}\r\n\r\n".encode() + data)
        await asyncio.sleep(self._chance.choice((0.1, 2.0)))
        writer.transport.abort()
        del reader
        self.figures.ends["never read"] += 1

    def _stream(self, client: httpx2.AsyncClient, body: dict[str, Any]) -> Any:
        return client.stream("POST", "/v1/complete", json=body | {"stream": True}, headers=_HEADERS)

    def _is_overload(self, response: httpx2.Response) -> bool:
        """Whether there was no place; any other failure is wrong."""
        if response.status_code == 529:
            self.figures.ends[_OVERLOADED] += 1
            return True
        if response.status_code not in (200, 400):
            self._is_wrong(f"status {response.status_code}")
            return True
        return False

    def _is_wrong(self, what: str) -> None:
        self.figures.wrong.append(what)


async def _idle(client: httpx2.AsyncClient) -> float:
    """Return the seconds until no job runs, waits or holds memory.

    Raises:
        SoakFailure: It takes too long, or the worker was replaced.
    """
    started = time.monotonic()
    while True:
        status = (await client.get("/ready")).json()
        seconds = time.monotonic() - started
        if status["restarts"]:
            raise SoakFailure(f"the worker was replaced: {status}")
        if not (status["running"] or status["waiting"] or status["kv_blocks_reserved"]):
            return seconds
        if seconds > _IDLE_S:
            raise SoakFailure(f"slots are still taken after {_IDLE_S} s: {status}")
        await asyncio.sleep(0.01)


async def soak(server: Server, seconds: float, seed: int) -> None:
    """Load a server for a time, and print the outcomes.

    Raises:
        SoakFailure: See this module.
    """
    chance = random.Random(seed)
    async with httpx2.AsyncClient(base_url=server.url, timeout=_PATIENCE_S) as client:
        checked = await ask_alone(client, questions(chance, _PROMPTS))
        print(f"{len(checked)} prompts with their answers alone; now {_CLIENTS} clients at once")
        load = Load(server, checked, chance)
        started = time.monotonic()
        memories: list[tuple[float, float]] = []
        clients = [asyncio.create_task(load.client(started + seconds)) for _ in range(_CLIENTS)]
        # The first is taken under load: what the load itself needs is no growth.
        for part in range(1, _REPORTS + 1):
            await asyncio.sleep(max(0.0, started + part * seconds / _REPORTS - time.monotonic()))
            memories.append(server.memory_mib())
            parent, worker = memories[-1]
            requests = sum(load.figures.ends.values())
            print(
                f"  {part * seconds / _REPORTS / 60:5.1f} min {requests:7,} requests; "
                f"memory of the server {parent:6.1f} MiB, of the worker {worker:6.1f} MiB",
                flush=True,
            )
        await asyncio.gather(*clients)
        freed = await _idle(client)
        await asyncio.sleep(0.5)
        print(f"  all slots free {freed:.2f} s after the last client; {_ends(load.figures)}")
        print(f"  {server.descriptors()} open files and sockets in the server")
        check(load.figures, memories)


def _ends(figures: Figures) -> str:
    return ", ".join(f"{count:,} {end}" for end, count in figures.ends.most_common())


def check(figures: Figures, memories: list[tuple[float, float]]) -> None:
    """Judge a whole run by its outcomes and the memory of both processes over time.

    Raises:
        SoakFailure: See this module.
    """
    if figures.wrong:
        raise SoakFailure(f"{len(figures.wrong)} answers are wrong: {figures.wrong[:5]}")
    if not figures.ends["complete, as alone"]:
        raise SoakFailure("no answer was as it is alone")
    names = ("server", "worker")
    for name, middle, end in zip(names, memories[len(memories) // 2], memories[-1], strict=True):
        if end > middle * (1 + _GROWTH_SHARE) + _GROWTH_MIB:
            raise SoakFailure(f"the {name}'s memory grew from {middle:.0f} to {end:.0f} MiB")


def main(seconds: float, runtime: Runtime, seed: int = 1) -> None:
    """Start a server with the built-in model, and put it under load.

    Raises:
        SoakFailure: See this module.
    """
    print(f"{seconds / 60:.1f} minutes of mixed load on {runtime}, seed {seed}")
    with running_server(runtime) as server:
        asyncio.run(soak(server, seconds, seed))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Load a server for a long time.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--runtime", choices=("openvino", "llamacpp"), action="append")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for each in options.runtime or ("openvino", "llamacpp"):
        main(options.minutes * 60, each, options.seed)
