"""Read the built archives and compare them with the repository."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

from release.build import ROOT
from release.contents import metadata_errors, package_files, sdist_errors, wheel_errors
from release.errors import CheckError
from tenuto.version import __version__


def check_archives(wheel: Path, sdist: Path) -> None:
    """Check names and metadata of both distributions.

    Raises:
        CheckError: The errors, one a line.
    """
    sources = package_files(ROOT)
    modules = [path.removeprefix("src/") for path in sources]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"tenuto-{__version__}.dist-info/METADATA").decode()
    with tarfile.open(sdist) as sources_archive:
        files = [each.name.partition("/")[2] for each in sources_archive if each.isfile()]
    errors = [
        *wheel_errors(names, modules, __version__),
        *metadata_errors(metadata, __version__),
        *sdist_errors(files, sources),
    ]
    if errors:
        raise CheckError("\n".join(errors))
