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


def test_build_reads_the_version_from_version_py() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    assert project["project"]["dynamic"] == ["version"]
    source = project["tool"]["hatch"]["version"]
    text = (ROOT / source["path"]).read_text(encoding="utf-8")
    match = re.search(source["pattern"], text, re.MULTILINE)
    assert match is not None
    assert match["version"] == tenuto.__version__


def test_version_is_written_in_one_file() -> None:
    held = f'"{tenuto.__version__}"'
    files = [ROOT / "pyproject.toml", *(ROOT / "src").rglob("*.py")]
    holders = [path.name for path in files if held in path.read_text(encoding="utf-8")]
    assert holders == ["version.py"]


def test_changelog_has_the_documented_form() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *releases = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", each) for each in releases)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_source_distribution_has_every_folder_of_the_tests_and_tools() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    included = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    checked = {f"/{folder}" for folder in project["tool"]["mypy"]["files"]}
    assert {"/tests", "/fuzz", "/compat", "/typing_tests"} <= checked <= included


def test_no_message_or_page_installs_tenuto_from_a_package_index() -> None:
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


def test_every_public_name_exists_and_is_listed_once() -> None:
    assert len(set(tenuto.__all__)) == len(tenuto.__all__)
    for name in tenuto.__all__:
        assert hasattr(tenuto, name), name
    assert dir(tenuto) == sorted(tenuto.__all__)


def test_names_for_type_checkers_equal_the_public_names() -> None:
    source = ast.parse(Path(tenuto.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    } | {ast.unparse(node.targets[0]) for node in block.body if isinstance(node, ast.Assign)}

    assert seen | {"__version__"} == set(tenuto.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        tenuto.nonsense  # noqa: B018


def test_package_has_py_typed() -> None:
    assert resources.files("tenuto").joinpath("py.typed").is_file()


def test_python_versions_are_the_same_in_every_file() -> None:
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


def test_ray_is_pinned_with_the_versions_of_the_other_tests() -> None:
    """Both are installed into the environment of the tests, and neither changes the other."""
    dev, ray = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in (ROOT / "constraints" / "dev.txt", ROOT / "constraints" / "ray.txt")
    )
    both = dev.keys() & ray.keys()
    assert "certifi" in both
    assert {name: ray[name] for name in both} == {name: dev[name] for name in both}
