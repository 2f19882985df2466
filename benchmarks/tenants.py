"""Measure whether times or usage reveal the prompts of one API key to another, under load.

    python -m benchmarks.tenants
    python -m benchmarks.tenants --runtime llamacpp --prefix-cache per_key --pairs 200

`tenuto serve` runs with the built-in model, one thread and two API keys. Each key asks prompts of
its own all the time, with pauses of up to 0.1 s. Beside these, the victim asks a prompt, and the
attacker asks that prompt and one that nobody asked, in either order: a pair. Each answer has one
token.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, get_args

import httpx2

from tenuto.engine.registry import runtime_libraries
from tenuto.prompt.turns import human_turn
from tenuto.server.auth import hash_key

PAIRS: Final = 200
# Lengths differ, so that it shows if a prompt is found again by its length.
WORDS: Final = range(90, 150)

Runtime = Literal["openvino", "llamacpp"]
PrefixCache = Literal["shared", "per_key", "off"]
_VOCABULARY: Final = ("fox", "hat", "red", "lost", "story", "time", "river", "tree", "house")

VICTIM: Final = "sk-victim"
ATTACKER: Final = "sk-attacker"

_SETTINGS: Final = """\
[server]
port = 0
api_keys = {keys}
[api]
extensions = true
[engine.local]
runtime = "{runtime}"
prefix_cache = "{prefix_cache}"
threads = 1
max_running = 8
"""


@dataclass(frozen=True, slots=True)
class Timing:
    """The attacker's observation of one response.

    Attributes:
        ms: Milliseconds until it came.
        first_ms: Milliseconds to the first token, as the server says.
        cached: Tokens found in the cache; None where that is not known.
    """

    ms: float
    first_ms: float
    cached: int | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Responses to a prompt that the victim sent before, and to a new one."""

    same: Timing
    other: Timing


def text(chooser: random.Random) -> str:
    """A prompt that no other one begins like."""
    return human_turn(" ".join(chooser.choices(_VOCABULARY, k=chooser.choice(WORDS))))


def sign_test(differences: list[float]) -> float:
    """The probability of signs at least as uneven as these, by chance."""
    signs = [difference > 0 for difference in differences if difference]
    count, most = len(signs), max(sum(signs), len(signs) - sum(signs))
    tail = sum(math.comb(count, k) for k in range(most, count + 1))
    return min(1.0, 2 * tail / math.pow(2, count))


@contextlib.contextmanager
def server(runtime: Runtime, prefix_cache: PrefixCache) -> Iterator[str]:
    """Run `tenuto serve`; yield its address when the model is loaded."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "tenuto.toml")
        keys = json.dumps([hash_key(VICTIM), hash_key(ATTACKER)])
        settings.write_text(_SETTINGS.format(keys=keys, runtime=runtime, prefix_cache=prefix_cache))
        command = [sys.executable, "-m", "tenuto", "serve", "--config", str(settings)]
        clean = {name: value for name, value in os.environ.items() if "TENUTO_" not in name}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean) as process:
            assert process.stderr is not None
            try:
                process.stderr.readline()  # Where the settings are from.
                port = int(process.stderr.readline().split(",")[0].rsplit(":", 1)[1])
                # It logs a line for each request: a full pipe would stop it.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


async def ask(client: httpx2.AsyncClient, key: str, prompt: str) -> Timing:
    """One token after a prompt."""
    body = {"model": "any", "prompt": prompt, "max_tokens_to_sample": 1, "temperature": 0}
    started = time.perf_counter()
    response = await client.post("/v1/complete", json=body, headers={"x-api-key": key})
    ms = (time.perf_counter() - started) * 1000
    response.raise_for_status()
    cached = response.headers.get("tenuto-cached-tokens")
    first_ms = float(response.headers["tenuto-time-to-first-token-ms"])
    return Timing(ms, first_ms, None if cached is None else int(cached))


@contextlib.asynccontextmanager
async def load(client: httpx2.AsyncClient) -> AsyncGenerator[None, None]:
    """Send each key's own requests, one after another until the end."""

    async def keep_asking(key: str) -> None:
        chooser = random.Random(key)
        while True:
            await ask(client, key, text(chooser))
            # Without pauses, the pairs would wait for the load most of the time.
            await asyncio.sleep(chooser.uniform(0, 0.1))

    tasks = [asyncio.create_task(keep_asking(key)) for key in (VICTIM, ATTACKER)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


async def measure(address: str, pairs: int, *, loaded: bool = True) -> list[Pair]:
    """Send the attacker's pairs to a server, under load by default."""
    chooser = random.Random(1)
    headers = {"anthropic-version": "2023-06-01"}
    async with httpx2.AsyncClient(base_url=address, headers=headers, timeout=60) as client:
        for _ in range(20):  # What is computed for the first time takes longer.
            await ask(client, VICTIM, text(chooser))
        async with load(client) if loaded else contextlib.nullcontext():
            found = []
            for _ in range(pairs):
                same, other = text(chooser), text(chooser)
                await ask(client, VICTIM, same)
                answers = {}
                # In either order, so that neither comes always first.
                for prompt in chooser.sample([same, other], 2):
                    answers[prompt] = await ask(client, ATTACKER, prompt)
                found.append(Pair(answers[same], answers[other]))
            return found


def row(runtime: Runtime, prefix_cache: PrefixCache, pairs: int, *, loaded: bool) -> str:
    """One line of the table."""
    with server(runtime, prefix_cache) as address:
        found = asyncio.run(measure(address, pairs, loaded=loaded))
    cells = [runtime, f"`{prefix_cache}`"]
    for name in ("ms", "first_ms"):
        gained = [getattr(pair.other, name) - getattr(pair.same, name) for pair in found]
        cells += [f"{statistics.median(gained):.2f}", f"{sign_test(gained):.2g}"]
    same = [pair.same.cached for pair in found if pair.same.cached is not None]
    other = [pair.other.cached for pair in found if pair.other.cached is not None]
    if same and other:
        more = [one - two for one, two in zip(same, other, strict=True)]
        cells += [f"{statistics.mean(same):.1f} / {statistics.mean(other):.1f}"]
        cells += [f"{sign_test([float(difference) for difference in more]):.2g}"]
    else:
        cells += ["not counted", "-"]
    return f"| {' | '.join(cells)} |"


def main(
    runtimes: Sequence[Runtime] = ("openvino", "llamacpp"),
    prefix_caches: Sequence[PrefixCache] = ("shared", "per_key", "off"),
    pairs: int = PAIRS,
    *,
    loaded: bool = True,
) -> None:
    """Print the figures of each runtime that is installed."""
    kind = "under load" if loaded else "idle"
    print(f"{pairs} pairs, {kind}; sooner: the median, in ms; p: of the sign test")
    print()
    print("| runtime | prefix_cache | answer sooner | p | first token sooner | p ", end="")
    print("| cached tokens, asked / not asked | p |")
    print(f"|{'---|' * 8}")
    libraries = runtime_libraries()
    for runtime in runtimes:
        if find_spec(libraries[runtime]):
            for prefix_cache in prefix_caches:
                print(row(runtime, prefix_cache, pairs, loaded=loaded), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        "python -m benchmarks.tenants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runtime", choices=get_args(Runtime), help="one alone")
    parser.add_argument("--prefix-cache", choices=get_args(PrefixCache), help="one setting alone")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"how many; {PAIRS} unless said")
    parser.add_argument("--idle", action="store_true", help="leave the load away")
    options = parser.parse_args()
    main(
        [options.runtime] if options.runtime else get_args(Runtime),
        [options.prefix_cache] if options.prefix_cache else get_args(PrefixCache),
        options.pairs,
        loaded=not options.idle,
    )
