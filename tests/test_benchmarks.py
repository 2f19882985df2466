"""The benchmarks as programs."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

from benchmarks.fleet.plot import Line, Panel, svg
from tests.conftest import PATIENCE_S, ROOT

# `benchmarks` itself imports others, which Python runs only where they are not imported yet.
NAMES = [
    "client",
    "engine",
    "fleet",
    "gateway.operations",
    "gateway.workers",
    "gateway",
    "startup",
    "stops",
    "tenants",
    "terminal",
    "throughput",
    "batch",
    "",
]

# All in one process: their libraries are imported once.
ASK = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        assert not end.code, name
    else:
        raise AssertionError(f"{name} measured")
"""


def test_help_describes_the_measurement_and_measures_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, *(f"benchmarks.{name}".rstrip(".") for name in NAMES)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("usage: ") == len(NAMES)


def test_simulated_fleets_are_drawn_as_well_formed_svg() -> None:
    lines = [Line("a < b", {1: 0.2, 200: 90.0}), Line("c", {1: 3.0, 200: 4.0}, dashed=True)]
    picture = svg("Fleets & nodes", [Panel("first token, s", lines, level=(50.0, "enough"))])
    texts = [each.text for each in ElementTree.fromstring(picture).iter()]
    assert {"Fleets & nodes", "● a < b", "● c", "enough", "0.1", "100", "200"} <= {*texts}
