"""Cost of a command line: of its version, its help, and an answer without a model.

TENUTO=path/to/tenuto LLM=path/to/llm python -m benchmarks.terminal

The answer repeats the prompt: Tenuto's engine `echo`, and the plugin llm-echo of `llm`. Without
LLM, only Tenuto is measured. Packages and MiB are those of the program's environment, without pip
and compiled bytecode.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks import program

RUNS = 15
ECHO = {"tenuto": ["complete", "Hello"], "llm": ["-m", "echo", "Hello"]}
INSTALLED = """
import importlib.metadata as m, pathlib
found = [d for d in m.distributions() if d.name not in ("pip", "setuptools", "wheel")]
files = {pathlib.Path(f.locate()) for d in found for f in d.files or () if f.suffix != '.pyc'}
print(len(found), round(sum(f.stat().st_size for f in files if f.is_file()) / 2**20))
"""


def cost(command: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds that a command takes, and those of the processor."""
    started = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


def main() -> None:
    """Print the median of some runs, the programs in turns."""
    programs = {
        "tenuto": Path(os.environ.get("TENUTO") or Path(sys.executable).with_name("tenuto"))
    }
    if "LLM" in os.environ:
        programs["llm"] = Path(os.environ["LLM"])
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HOME": home, "TENUTO_ENGINE_NAME": "echo"}
        for job in ("--version", "--help", "echo"):
            runs: dict[str, list[tuple[float, float]]] = {name: [] for name in programs}
            for _ in range(RUNS):
                for name, path in programs.items():
                    arguments = ECHO[name] if job == "echo" else [job]
                    runs[name].append(cost([str(path), *arguments], environment))
            for name, costs in runs.items():
                wall, cpu = (statistics.median(each) for each in zip(*costs, strict=True))
                print(f"{job:9} {name:7} {1000 * wall:6.0f} ms {1000 * cpu:6.0f} ms of CPU")
    for name, path in programs.items():
        python = path.with_name("python")
        found = subprocess.run(
            [python, "-c", INSTALLED], capture_output=True, text=True, check=True
        )
        packages, size = found.stdout.split()
        print(f"{'installed':9} {name:7} {packages} packages, {size} MiB")


if __name__ == "__main__":
    program.run("benchmarks.terminal", __doc__, main)
