"""Build the distributions into `dist/`, or check them there: `python -m release build|check`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from release.archives import check_archives
from release.build import ROOT, build
from release.installs import check_installs
from release.report import Report

DIST = ROOT / "dist"


def main() -> int:
    """Run the step that the arguments name; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m release", description=__doc__)
    parser.add_argument("step", choices=("build", "check"))
    if parser.parse_args().step == "build":
        build(DIST)
        return 0
    (wheel,) = DIST.glob("tenuto-*.whl")
    (sdist,) = DIST.glob("tenuto-*.tar.gz")
    report = Report()
    with report.step("contents of wheel and source distribution"):
        check_archives(wheel, sdist)
    with tempfile.TemporaryDirectory(prefix="tenuto-release-") as folder:
        check_installs(wheel, Path(folder), report)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
