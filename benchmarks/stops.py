"""Characters a second through the stop matcher, and through searching the text again each time.

    python -m benchmarks.stops

The text is prose with line breaks, in pieces of 4 characters, about a token. The peer keeps the
text so far and searches all of it for every stop sequence whenever a piece comes, as simple
servers do.
"""

from __future__ import annotations

import random
import time

from benchmarks import program
from tenuto.stream.stops import StopMatcher

PIECE = 4
CHARACTERS = 400_000
PEER_CHARACTERS = 20_000
BUILT_IN = "\n\nHuman:"


def prose(length: int) -> str:
    """Words, sentences and paragraphs, the same in every run."""
    rng = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = []
    size = 0
    while size < length:
        word = "".join(rng.choice(letters) for _ in range(rng.randint(1, 9)))
        word += rng.choice([" "] * 12 + [", ", ". ", "\n", "\n\n"])
        words.append(word)
        size += len(word)
    return "".join(words)[:length]


def stop_sequences(count: int) -> list[str]:
    """The built-in one, and others that often begin to match but never do."""
    rng = random.Random(2)
    others = [f"\n{rng.choice('abcde')}{index}</stop>" for index in range(count - 1)]
    return [BUILT_IN, *others]


def matcher_rate(text: str, stops: list[str]) -> float:
    """Characters a second through `StopMatcher`."""
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    matcher = StopMatcher(stops)
    started = time.perf_counter()
    for piece in pieces:
        matcher.push(piece)
    return len(text) / (time.perf_counter() - started)


def search_rate(text: str, stops: list[str]) -> float:
    """Characters a second when all text is searched for every piece."""
    started = time.perf_counter()
    so_far = ""
    for at in range(0, len(text), PIECE):
        so_far += text[at : at + PIECE]
        if any(stop in so_far for stop in stops):
            break
    return len(text) / (time.perf_counter() - started)


def main() -> None:
    """Print one line for each number of stop sequences."""
    text = prose(CHARACTERS)
    print("stop matching, characters a second")
    for count in (1, 4, 64):
        stops = stop_sequences(count)
        ours = max(matcher_rate(text, stops) for _ in range(3))
        peer = search_rate(text[:PEER_CHARACTERS], stops)
        again = f"searching {PEER_CHARACTERS:,} characters again: {peer:10,.0f}"
        print(f"  {count:2} stop sequences: {ours:12,.0f}   {again}   ratio {ours / peer:6.1f}")


if __name__ == "__main__":
    program.run("benchmarks.stops", __doc__, main)
