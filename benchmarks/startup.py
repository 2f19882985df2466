"""Seconds from a cold start: to the first character, to the end, to a server that is ready.

python -m benchmarks.startup
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks import program

RUNS = 11

# As of an installed package, whose modules are compiled once.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def cold_completion() -> tuple[float, float]:
    """`tenuto complete "Hello, world!"`: seconds to the first character, and to the exit."""
    command = [sys.executable, "-m", "tenuto", "complete", "Hello, world!"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        first = time.perf_counter() - started
        process.stdout.read()
        process.wait()
    return first, time.perf_counter() - started


def server_start() -> tuple[float, float]:
    """`tenuto serve`: seconds until it listens, and until its model is loaded."""
    command = [sys.executable, "-m", "tenuto", "serve", "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        process.stderr.readline()
        listening = time.perf_counter() - started
        process.stderr.readline()
        ready = time.perf_counter() - started
        process.terminate()
    return listening, ready


def main() -> None:
    """Print medians of a few runs."""
    first, done = zip(*(cold_completion() for _ in range(RUNS)), strict=True)
    listening, ready = zip(*(server_start() for _ in range(RUNS)), strict=True)
    print(f"cold start, seconds, median of {RUNS} (slowest)")
    for name, values in (
        ("complete: first character", first),
        ("complete: exit", done),
        ("serve: listening", listening),
        ("serve: ready", ready),
    ):
        print(f"  {name:26} {statistics.median(values):5.2f} ({max(values):.2f})")


if __name__ == "__main__":
    program.run("benchmarks.startup", __doc__, main)
