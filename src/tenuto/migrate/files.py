"""The files below some folders that a scan reads, without those that git ignores."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenuto.core.extras import needs
from tenuto.migrate.language_kinds import LANGUAGES

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

MOST_BYTES: Final = 2 * 1024 * 1024
"""Longer files are not read: they are data."""
_SKIPPED: Final = {
    *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache"),
    *(".pytest_cache", ".ruff_cache", ".terraform", ".gradle", ".idea"),
    *("site-packages", "dist-packages"),
}
_NAMES: Final = {"dockerfile": "dockerfile", "makefile": "makefile"}
TEXT: Final = "text"
"""The kind of a text without a syntax, which may be a prompt."""
_TEXTS: Final = {
    *("txt", "in", "prompt", "jinja", "jinja2", "j2", "tmpl", "gotmpl", "tpl", "mustache", "hbs"),
    *("handlebars", "liquid", "erb", "ejs", "njk", "twig", "ftl", "vm", "eex", "mako"),
}
_INTERPRETERS: Final = {
    **dict.fromkeys(("python", "pypy", "uv"), "py"),
    **dict.fromkeys(("node", "deno", "bun", "tsx", "zx"), "js"),
    "ruby": "rb",
    "php": "php",
    "perl": "pl",
    "lua": "lua",
    "Rscript": "r",
    "elixir": "exs",
}
"""The kinds of scripts by the names of their interpreters; others are shells."""
_MOST_OF_A_LINE: Final = 200
_LOCKS: Final = {"package-lock.json", "composer.lock", "pnpm-lock.yaml", "poetry.lock", "uv.lock"}


def kind_of(name: str) -> str | None:
    """Return the kind of a file by its name: `py`, `ipynb`, `pins`, `TEXT`, or a language.

    A language is a key of `LANGUAGES`. A file that is not read has None.
    """
    lower = name.lower()
    if lower in _LOCKS:
        return None
    stem, _, end = lower.rpartition(".")
    if end in ("py", "pyi", "pyw"):
        return "py"
    if end == "ipynb":
        return end
    if end in ("txt", "in") and ("requirements" in lower or "constraints" in lower):
        return "pins"
    if end in _TEXTS or lower.endswith(".blade.php"):
        return TEXT
    if lower in ("setup.cfg", "pyproject.toml", "pipfile"):
        return "pins"
    if lower.startswith(".env") or stem.startswith(".env"):
        return "env"
    return end if end in LANGUAGES else _NAMES.get(lower)


def _kind_of_script(path: str) -> str | None:
    """Return the kind of a file without an end of its name by its first line, or None."""
    if "." in os.path.basename(path):  # noqa: PTH119
        return None
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            if file.read(2) != b"#!":
                return None
            line = file.readline(_MOST_OF_A_LINE).decode("utf-8", "replace")
    except OSError:
        return None
    for interpreter, kind in _INTERPRETERS.items():
        if re.search(rf"\b{interpreter}[\d.]*\b", line):
            return kind
    return "sh"


@dataclass(frozen=True)
class _Rules:
    """The patterns of one `.gitignore`, with the folder that they refer to."""

    folder: str
    spec: GitIgnoreSpec


def walk(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    """Yield each file to read with its kind. A file that is named is read in any case.

    Raises:
        MissingExtraError: The library for `.gitignore` is not installed.
    """
    for path in paths:
        if path.is_dir():
            found = set()
            for file, kind in _folder(str(path), _outer_rules(path)):
                found.add(file)
                yield file.removeprefix(f".{os.sep}"), kind
            for file, kind in _kept(path):
                if file not in found:
                    yield file.removeprefix(f".{os.sep}"), kind
        else:
            yield str(path), kind_of(path.name) or _kind_of_script(str(path)) or "sh"


def _kept(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that git has, although a rule would ignore them."""
    command = ["git", "-C", str(folder), "ls-files", "-z", "-c", "-i", "--exclude-standard"]
    try:
        result = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    except OSError:
        return
    if result.returncode:
        return
    for name in result.stdout.decode("utf-8", "surrogateescape").split("\0"):
        parts = name.split("/")
        file = os.path.join(folder, *parts)  # noqa: PTH118
        if _SKIPPED.intersection(parts) or os.path.islink(file):  # noqa: PTH114
            continue
        kind = kind_of(parts[-1]) or _kind_of_script(file)
        if kind and os.path.isfile(file):  # noqa: PTH113
            yield file, kind


def _outer_rules(path: Path) -> list[_Rules]:
    """Return the rules above a folder, as far as its repository goes."""
    above = []
    folder = path.resolve()
    while not (folder / ".git").exists() and folder.parent != folder:
        folder = folder.parent
        above.append(folder)
    if not (folder / ".git").exists():
        return []
    exclude = folder / ".git" / "info" / "exclude"
    found = [_rules(str(folder), exclude)] if exclude.is_file() else []
    found += [
        _rules(str(each), each / ".gitignore")
        for each in reversed(above)
        if (each / ".gitignore").is_file()
    ]
    return found


def _rules(folder: str, file: Path) -> _Rules:
    with needs("migrate", "`tenuto migrate`"):
        from pathspec import GitIgnoreSpec

    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return _Rules(os.path.realpath(folder), GitIgnoreSpec.from_lines(lines))


def _folder(folder: str, rules: list[_Rules]) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        return
    names = {entry.name for entry in entries}
    if "pyvenv.cfg" in names:
        return
    if ".gitignore" in names:
        rules = [*rules, _rules(folder, Path(folder, ".gitignore"))]
    real = os.path.realpath(folder) if rules else folder
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            if entry.name not in _SKIPPED and not _is_ignored(real, f"{entry.name}/", rules):
                yield from _folder(entry.path, rules)
        elif entry.is_file(follow_symlinks=False):
            kind = kind_of(entry.name) or _kind_of_script(entry.path)
            if kind and not _is_ignored(real, entry.name, rules):
                yield entry.path, kind


def _is_ignored(folder: str, name: str, rules: list[_Rules]) -> bool:
    """Return whether git ignores an entry: the rules of the deepest folder come first."""
    for each in reversed(rules):
        below = folder[len(each.folder) :].lstrip(os.sep).replace(os.sep, "/")
        path = f"{below}/{name}" if below else name
        found = _last(each.spec, path) if name.endswith("/") else each.spec.check_file(path).include
        if found is not None:
            return found
    return False


def _last(spec: GitIgnoreSpec, folder: str) -> bool | None:
    """Return whether the last pattern that matches a folder ignores it; None without one.

    For the library, `*` is stronger than `!*/` behind it, as it is for the files in a folder.
    """
    for pattern in reversed(list(spec.patterns)):
        if pattern.include is not None and pattern.match_file(folder) is not None:
            return pattern.include
    return None
