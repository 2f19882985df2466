"""Metadata of the package: version, files, installation."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

import tenuto

ROOT = Path(__file__).parents[1]


def test_the_build_takes_the_version_from_its_only_place() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    source = project["tool"]["hatch"]["version"]
    text = (ROOT / source["path"]).read_text(encoding="utf-8")
    match = re.search(source["pattern"], text, re.MULTILINE)
    assert match is not None
    assert match["version"] == tenuto.__version__


def test_no_other_file_holds_the_version() -> None:
    held = f'"{tenuto.__version__}"'
    files = [ROOT / "pyproject.toml", *(ROOT / "src").rglob("*.py")]
    holders = [path.name for path in files if held in path.read_text(encoding="utf-8")]
    assert holders == ["version.py"]


def test_the_changelog_keeps_its_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in releases)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_source_distribution_has_every_folder_that_its_tests_and_tools_name() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    included = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    checked = {f"/{folder}" for folder in project["tool"]["mypy"]["files"]}
    assert {"/tests", "/fuzz", "/compat", "/typing_tests"} <= checked <= included


def test_no_message_or_page_sends_anyone_to_a_package_index_for_tenuto() -> None:
    # The name there may be somebody else's.
    texts = {
        path: path.read_text(encoding="utf-8")
        for folder in ("src", "docs")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".md")
    } | {ROOT / "README.md": (ROOT / "README.md").read_text(encoding="utf-8")}
    advice = re.compile(r"(?:pip|uv|pipx|uvx) (?:install )?['\"]?tenuto\b")
    found = [str(path.relative_to(ROOT)) for path, text in texts.items() if advice.search(text)]
    # The reason for the wording quotes what it avoids.
    assert found == ["src/tenuto/core/extras.py"]


def test_every_public_name_is_there_and_listed_once() -> None:
    assert len(set(tenuto.__all__)) == len(tenuto.__all__)
    for name in tenuto.__all__:
        assert hasattr(tenuto, name), name
    assert dir(tenuto) == sorted(tenuto.__all__)


def test_what_type_checkers_see_is_what_there_is() -> None:
    source = ast.parse(Path(tenuto.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } | {ast.unparse(node.targets[0]) for node in block.body if isinstance(node, ast.Assign)}

    assert seen | {"__version__"} == set(tenuto.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        tenuto.nonsense  # noqa: B018


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert resources.files("tenuto").joinpath("py.typed").is_file()


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    prefix = "Programming Language :: Python :: 3."
    minors = [int(each.removeprefix(prefix)) for each in project["classifiers"] if prefix in each]
    first, last = minors[0], minors[-1]
    assert minors == list(range(first, last + 1))
    assert project["requires-python"] == f">=3.{first}"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"(3, {first}) <= sys.version_info < (3, {last + 1})" in makefile
    for text in (makefile, (ROOT / "README.md").read_text(encoding="utf-8")):
        assert f"Python 3.{first} to 3.{last}" in text
