"""What the package says of itself is true."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from types import ModuleType

import tenuto

ROOT = Path(__file__).parents[1]


def test_the_version_is_that_of_the_distribution() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == tenuto.__version__


def test_every_public_name_is_there_and_listed_in_order() -> None:
    assert tenuto.__all__ == sorted(tenuto.__all__)
    for name in tenuto.__all__:
        assert hasattr(tenuto, name), name


def test_no_public_name_is_missing_from_the_list() -> None:
    public = {
        name
        for name, value in vars(tenuto).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert public <= set(tenuto.__all__)


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert resources.files("tenuto").joinpath("py.typed").is_file()
