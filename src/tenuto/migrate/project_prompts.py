"""Prompts and the like in files without a use: they count if their project has one.

The folder that is nearest to one and has a request of either API below it decides. A project
is a repository, or a folder with what such a folder has: a licence, a list of packages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from tenuto.migrate.evidence import names_vendor
from tenuto.migrate.findings import Finding

CERTAIN: Final = re.compile(r"TC10[123]|TC40\d|TC41[02]")
"""Codes of calls, bodies and addresses."""
_NEWER: Final = re.compile(
    r"\b[Mm]essages\s*\.\s*(?:create|stream|New)\w*\s*\(|anthropic_version|bedrock-2023-05-31|"
    r"v1/messages|\bChatBedrock(?:Converse)?\b|langchain_anthropic|\.converse(?:_stream)?\(|"
    r"\bConverse(?:Stream)?(?:Command|Request|Async)|llama_index\.llms\.anthropic"
)
# Folders and files of recordings and of data.
_RECORDED: Final = re.compile(
    r"(?:^|[/\\])(?:\w*cassettes?|__\w*snapshots?__|snapshots?|recordings?|vcr\w*|datasets?|logs?|"
    r"outputs?|results?|dist|build|vendor|third_party)[/\\]|\.min\.|\.lock\b",
    re.IGNORECASE,
)
# The texts that a test expects follow the code that it tests; those in tests of a client are sent.
_TESTS: Final = re.compile(
    r"(?:^|[/\\])(?:tests?|__tests__|spec)[/\\]|(?:^|[/\\])(?:test_|conftest)[^/\\]*\Z|"
    r"(?:_test|_spec|\.test|\.spec|Tests?)\.\w+\Z",
    re.IGNORECASE,
)
_DATA: Final = {"json", "jsonc", "json5", "yaml", "yml", "toml", "ini", "cfg", "properties"}
_NO_PROMPTS: Final = {"pins", "env", "http", "dockerfile", "makefile"}
# Fields of recorded traffic, and of records of data.
_RECORD: Final = re.compile(
    r"[\"'](?:request|response|status\w*|headers|completions?|generations?|choices|outputs?|"
    r"answers?|chosen|rejected|labels?|stop_reason)[\"']\s*:|"
    # Recorded interactions, and tasks of evaluations.
    r"^\s*-?\s*(?:request|response|interactions|doc_to_text):",
    re.MULTILINE,
)
_MOST_IN_A_FILE: Final = 40
"""A file with more is a set of data."""
_MOST: Final = 10_000
_SIGNS: Final = (
    *(".git", ".github", ".gitignore", "LICENSE", "LICENSE.md", "LICENSE.txt", "README.md"),
    *("pyproject.toml", "setup.py", "requirements.txt", "Pipfile", "package.json", "go.mod"),
    *("pom.xml", "build.gradle", "build.gradle.kts", "Cargo.toml", "Gemfile", "composer.json"),
)


@dataclass
class Evidence:
    """Evidence that files have for their project, besides their findings.

    Attributes:
        pending: Findings that count if their project uses the old API.
        old: The folders of files that use it.
        new: The folders of files that have requests of the Messages API.
    """

    pending: list[Finding] = field(default_factory=list)
    old: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)

    def add(self, other: Evidence) -> None:
        """Add what other files have."""
        self.pending += other.pending[: max(0, _MOST - len(self.pending))]
        self.old |= other.old
        self.new |= other.new


def evidence(
    text: str,
    path: str,
    kind: str,
    findings: Sequence[Finding],
    pending_of: Callable[[], list[Finding]],
) -> Evidence:
    """Return what a file has for its project.

    Args:
        text: The file.
        path: Its name.
        kind: See `files.kind_of`.
        findings: What was found in it.
        pending_of: Returns what counts if the project has a use; called only if it may.
    """
    folder = os.path.dirname(path)  # noqa: PTH120
    if any(CERTAIN.fullmatch(finding.code) for finding in findings):
        return Evidence(old={folder})
    if _NEWER.search(text):
        return Evidence(new={folder})
    if kind in _NO_PROMPTS or _RECORDED.search(path) or (kind in _DATA and _RECORD.search(text)):
        return Evidence()
    if _TESTS.search(path) and not names_vendor("", path):
        return Evidence()
    found = pending_of()
    known = {(finding.cell, finding.line) for finding in findings}
    pending = [each for each in found if (each.cell, each.line) not in known]
    return Evidence(pending if len(pending) <= _MOST_IN_A_FILE else [])


def released(found: Evidence, paths: Sequence[Path]) -> Iterator[Finding]:
    """Yield the pending findings whose project uses the old API.

    Args:
        found: The evidence of all files.
        paths: The files and folders that were scanned.
    """
    if not found.old:
        return
    tops = {_plain(str(path)) for path in paths}
    old, new = _with_parents(found.old), _with_parents(found.new)
    root = lru_cache(maxsize=None)(lambda folder: _root(folder, tops))
    for finding in found.pending:
        folder = os.path.dirname(finding.path)  # noqa: PTH120
        last = root(folder)
        for each in _upwards(folder):
            if each in old:
                yield finding
            if each in old or each in new or each == last:
                break


def _plain(path: str) -> str:
    return "" if path == "." else path.removeprefix(f".{os.sep}")


def _upwards(folder: str) -> Iterator[str]:
    """Yield a folder, and those above it."""
    yield folder
    while folder and (above := os.path.dirname(folder)) != folder:  # noqa: PTH120
        yield above
        folder = above


def _with_parents(folders: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        for each in _upwards(folder):
            if each in found:
                break
            found.add(each)
    return found


def _root(folder: str, tops: set[str]) -> str:
    """Return the folder of the project that a folder belongs to.

    That is the nearest one with `.git`, or else the highest one with the signs of a project, as
    far as the scan goes.
    """
    signed = ""
    for each in _upwards(folder):
        if Path(each, ".git").exists():
            return each
        if any(Path(each, sign).exists() for sign in _SIGNS):
            signed = each
        if each in tops:
            return signed or each
    return folder
