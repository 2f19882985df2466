"""Contents of the distributions; `make check-dist` reads the built ones."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from release.contents import (
    DATA,
    EXTRAS,
    metadata_errors,
    package_files,
    sdist_errors,
    wheel_errors,
)
from release.jobs import JOBS

ROOT = Path(__file__).parents[2]
WHEEL = [
    *("tenuto/__init__.py", *DATA),
    *(f"tenuto-1.2.3.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL")),
    *(f"tenuto-1.2.3.dist-info/licenses/{name}" for name in ("LICENSE", "NOTICE")),
    "tenuto-1.2.3.dist-info/entry_points.txt",
]
METADATA = """\
Metadata-Version: 2.4
Name: tenuto
Version: 1.2.3
License-Expression: Apache-2.0
License-File: LICENSE
License-File: NOTICE
Classifier: Typing :: Typed
Requires-Dist: annotated-types>=0.7
Requires-Dist: httpx2>=2.16
Requires-Dist: pydantic>=2.12
Requires-Dist: rich>=13.0; extra == 'cli'
Description-Content-Type: text/markdown
""" + "".join(f"Provides-Extra: {extra}\n" for extra in sorted(EXTRAS))


def in_wheel(names: list[str]) -> list[str]:
    return list(wheel_errors(names, ["tenuto/__init__.py"], "1.2.3"))


def test_complete_wheel_is_accepted() -> None:
    assert in_wheel(WHEEL) == []


@pytest.mark.parametrize("name", WHEEL)
def test_missing_file_of_a_wheel_is_an_error(name: str) -> None:
    assert in_wheel([each for each in WHEEL if each != name]) == [f"wheel: {name} is missing"]


@pytest.mark.parametrize(
    "name", ["tests/conftest.py", "training/train.py", "tenuto/__pycache__/a.pyc", "tenuto/.env"]
)
def test_unexpected_file_in_a_wheel_is_an_error(name: str) -> None:
    assert in_wheel([*WHEEL, name]) == [f"wheel: {name} must not be in it"]


def test_a_source_distribution_has_the_repository_without_caches() -> None:
    names = ["src/tenuto/py.typed"]
    missing = set(sdist_errors([], names))
    assert {f"sdist: {name} is missing" for name in ("LICENSE", "SECURITY.md", *names)} <= missing
    for name in ("tests/__pycache__/a.pyc", ".mypy_cache/a", "release/.venv/a", "dist/a.whl"):
        assert f"sdist: {name} must not be in it" in list(sdist_errors([name], names))
    assert not [each for each in sdist_errors([".gitignore"], names) if "must not" in each]


def test_the_metadata_names_licence_types_and_extras() -> None:
    assert list(metadata_errors(METADATA, "1.2.3")) == []


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("Version: 1.2.3", "Version: 1.2.4", "Version is"),
        ("License-File: NOTICE\n", "", "License-File is"),
        ("Typing :: Typed", "License :: OSI Approved", "`Typing :: Typed` is missing"),
        ("Typing :: Typed", "License :: OSI Approved", "License :: OSI Approved is invalid"),
        ("Provides-Extra: hub\n", "", "the extras are"),
        ("; extra == 'cli'", "", "the core requires"),
    ],
)
def test_changed_metadata_is_an_error(old: str, new: str, error: str) -> None:
    errors = list(metadata_errors(METADATA.replace(old, new), "1.2.3"))
    assert [each for each in errors if error in each], errors


def test_packaged_files_are_those_of_the_repository() -> None:
    assert all((ROOT / path).is_file() for path in package_files(ROOT))
    unlisted = [
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "tenuto").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    assert sorted(unlisted) == sorted(DATA)


def test_every_extra_has_a_check() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    assert set(extras) == EXTRAS
    checked = {extra for job in JOBS for extra in job.extras.split(",") if extra}
    assert checked == EXTRAS - {"dev"}
