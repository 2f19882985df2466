"""Whether one API key can tell from the time to the first token what another one asked.

python -m benchmarks.tenants
"""

from __future__ import annotations

import asyncio
import math
import random
import statistics
import time
from importlib.util import find_spec
from typing import Final, Literal

from benchmarks import program
from tenuto.engine.base import Job
from tenuto.engine.local.engine import LocalEngine
from tenuto.prompt.turns import human_turn, parse_prompt
from tenuto.settings import LocalSettings

PAIRS: Final = 200
WORDS: Final = 230

Runtime = Literal["openvino", "llamacpp"]
PrefixCache = Literal["shared", "per_key", "off"]
_LIBRARIES: Final[dict[Runtime, str]] = {"openvino": "openvino_genai", "llamacpp": "xllamacpp"}
_VOCABULARY: Final = ("fox", "hat", "red", "lost", "story", "time", "river", "tree", "house")


def text(chooser: random.Random) -> str:
    """A prompt that no other one begins like."""
    return human_turn(" ".join(chooser.choices(_VOCABULARY, k=WORDS)))


def sign_test(differences: list[float]) -> float:
    """The probability of signs at least as uneven as these, by chance."""
    signs = [difference > 0 for difference in differences if difference]
    count, most = len(signs), max(sum(signs), len(signs) - sum(signs))
    tail = sum(math.comb(count, k) for k in range(most, count + 1))
    return min(1.0, 2 * tail / math.pow(2, count))


async def ask(engine: LocalEngine, key: str, prompt: str) -> tuple[float, int | None]:
    """Milliseconds to the first token, and the tokens found in the cache if that is known."""
    job = Job(parse_prompt(prompt), 1, temperature=0, key=key)
    started = time.perf_counter()
    pieces = [piece async for piece in engine.generate(job)]
    usage = pieces[-1].usage
    return (time.perf_counter() - started) * 1000, None if usage is None else usage.cached_tokens


async def differences(runtime: Runtime, prefix_cache: PrefixCache, pairs: int) -> list[float]:
    """How much sooner a prompt is answered after another key asked it, in ms, pair by pair."""
    chooser = random.Random(1)
    engine = LocalEngine(
        LocalSettings(runtime=runtime, prefix_cache=prefix_cache, threads=1, max_running=8)
    )
    await engine.start()
    try:
        await engine.ready()
        found = []
        for _ in range(pairs):
            same, other, asked = text(chooser), text(chooser), text(chooser)
            times = {}
            # In either order, so that neither comes always first.
            for case in chooser.sample(["same", "other"], 2):
                before, after = (same, same) if case == "same" else (other, asked)
                await ask(engine, "one", before)
                times[case], _ = await ask(engine, "two", after)
            found.append(times["other"] - times["same"])
        return found
    finally:
        await engine.aclose()


def main() -> None:
    """Print the figures of each runtime that is installed."""
    print(f"| runtime | prefix_cache | median difference of {PAIRS} pairs, ms | sign test, p |")
    print("|---|---|---|---|")
    for runtime, library in _LIBRARIES.items():
        if find_spec(library):
            for prefix_cache in ("shared", "per_key"):
                found = asyncio.run(differences(runtime, prefix_cache, PAIRS))
                median, p = statistics.median(found), sign_test(found)
                print(f"| {runtime} | `{prefix_cache}` | {median:.2f} | {p:.2g} |", flush=True)


if __name__ == "__main__":
    program.run("benchmarks.tenants", __doc__, main)
