"""The hard parts of the rules for prose: first lines of docstrings, words, names.

CONTRIBUTING.md has the rules. A person still has to read what a pattern cannot.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests", "benchmarks", "compat", "fuzz", "release", "docsite", "training")

# A first line is an imperative or a noun phrase.
BANNED_BEGINNING = re.compile(
    r"(What|Who|Whoever|Whom|Which|That|Those|There|It|Its|So|Why|How|Where|When|Nobody|Everybody"
    r"|Whatever|Here"
    r"|Tells|Says|Asks|Gives|Takes|Makes|Lets|Keeps|Holds|Reads|Writes|Returns|Sends|Raises|Checks"
    r"|Runs|Starts|Stops|Waits|Opens|Closes|Puts|Finds|Turns|Counts|Adds|Answers|Refuses|Serves"
    r"|Measures|Prints|Shows|Loads)\b"
)
# Machines report, send and need.
BANNED_IN_FIRST_LINE = re.compile(
    r"\b(is no|are none|this much|nobody|the one who|tells?|told|says?|said|asks?|asked|knows?|knew"
    r"|wants?|hears?|heard)\b",
    re.IGNORECASE,
)
BANNED_ANYWHERE = re.compile(r"\b(whoever|server behind (this|it)|is none|so many|that much)\b")
# Machines return and report; grammar names no thing.
BANNED_WORDS = (
    "ask asks asked asking tell tells told telling say says said saying know knows knew"
    " hear hears heard hearing want wants wanted nobody somebody everybody who whom whoever whose"
    " what whatever wherever however which lasting"
)
BANNED_IN_TEST_NAME = re.compile(
    r"^test_(?:it|its|there|that|those|this)_"
    rf"|(?<=_)(?:{'|'.join(BANNED_WORDS.split())}|so_many|that_much|is_no|are_no|is_none)(?=_|$)"
)
BANNED_NAMES = {"asked", "asking", "told", "said", "heard", "nobody", "whoever", "lasting", "its"}
QUOTED = re.compile(r"`[^`]*`|\"[^\"]*\"")


def files() -> list[Path]:
    found = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    # `make docs` and `make check-dist` install libraries below docsite and release.
    return [path for path in found if ".venv" not in path.relative_to(ROOT).parts]


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of modules, classes, functions and attributes, with their lines."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for each in body if isinstance(body, list) else []:
            if (
                isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
            ):
                yield each.lineno, each.value.value


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the names that a module defines, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def faults(text: str) -> list[str]:
    """Return the faults in a module's prose and names, each with its line."""
    found = []
    tree = ast.parse(text)
    for line, name in names(tree):
        is_test = name.startswith("test_")
        if (is_test and BANNED_IN_TEST_NAME.search(name)) or name.strip("_") in BANNED_NAMES:
            found.append(f"{line}: the name {name!r}")
    for line, docstring in docstrings(tree):
        first = " ".join(docstring.strip().split("\n\n")[0].split())
        plain = QUOTED.sub("X", first)
        if fault := BANNED_BEGINNING.match(plain) or BANNED_IN_FIRST_LINE.search(plain):
            found.append(f"{line}: {fault[0]!r} in {first!r}")
        elif not first.endswith((".", ":", "`", "!", "?")):
            found.append(f"{line}: no full stop after {first!r}")
    for line, source in enumerate(text.splitlines(), 1):
        if fault := BANNED_ANYWHERE.search(QUOTED.sub("X", source)):
            found.append(f"{line}: {fault[0]!r}")
    return found


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_prose_of_a_module_keeps_the_rules(path: Path) -> None:
    if path != Path(__file__):
        assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What a caller may send."""',
        '"""Returns the length."""',
        'def f():\n    """Stop work that nobody waits for."""',
        'class A:\n    """A reader that tells the size."""',
        '"""Parse a body"""',
        '"""Parse a body."""\n# Whatever comes, so many bytes are read.',
        "def test_caller_is_told_the_limit(): ...",
        "async def test_it_returns(): ...",
        "def test_body_has_so_many_fields(): ...",
        "asked = 1",
        "def f(told): ...",
        "self.said = 1",
    ],
)
def test_faults_are_found(source: str) -> None:
    assert len(faults(source)) == 1


def test_quoted_words_and_plain_lines_are_accepted() -> None:
    assert faults("def test_each_known_word_of_this_text_is_read(): ...\nknown = 1") == []
    assert faults('"""Return `what` a client "said", in bytes."""\n# Ends at a newline.') == []


def test_no_two_modules_of_a_package_define_a_class_of_one_name() -> None:
    package = ROOT / "src" / "tenuto"
    modules: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                modules[relative.parts[0], node.name].append(str(relative))
    assert {name: found for name, found in modules.items() if len(found) > 1} == {}
