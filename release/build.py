"""Build the source distribution, and the wheel from it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(folder: Path) -> None:
    """Replace the distributions in `folder`.

    The wheel is built from the unpacked source distribution, so a file missing there is missing in
    the wheel too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("tenuto-*.whl"), *folder.glob("tenuto-*.tar.gz")):
        old.unlink()
    _hatchling("sdist", folder, ROOT)
    (archive,) = folder.glob("tenuto-*.tar.gz")
    with tempfile.TemporaryDirectory(prefix="tenuto-sdist-") as unpacked:
        with tarfile.open(archive) as sources:
            sources.extractall(unpacked, filter="data")
        (source,) = Path(unpacked).iterdir()
        _hatchling("wheel", folder, source)


def _hatchling(target: str, folder: Path, source: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        target,
        "-d",
        str(folder.resolve()),
    ]
    subprocess.run(command, cwd=source, stdout=subprocess.DEVNULL, check=True)
