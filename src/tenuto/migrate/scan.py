"""The scan of files for uses of the Text Completions API."""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Final

from tenuto.migrate import languages, pins
from tenuto.migrate.evidence import names_vendor
from tenuto.migrate.files import MOST_BYTES, TEXT, walk
from tenuto.migrate.findings import Finding, Hardness
from tenuto.migrate.notebooks import Notebook
from tenuto.migrate.project import surroundings
from tenuto.migrate.project_prompts import Evidence, evidence, released
from tenuto.migrate.python import uses
from tenuto.migrate.python.plan import Options

# One of them is in each file that has a finding.
_SIGNS: Final = (
    *(b"nthropic", b"max_tokens_to_sample", b"v1/complete", b"axTokensToSample", b"HUMAN_PROMPT"),
    *(b"max-tokens-to-sample", b"stop_reason", b"anthrogo", b"klaude", b"claudeR", b"invoke_model"),
)
# A prompt has one of them. Without a sign of the API besides, it counts by its project alone.
_MARKS: Final = (b"Human:", b"Assistant:", b"HUMAN_PROMPT")
_INVOKING: Final = (b"invoke_model", b"nvokeModel")
OLD_WORDS: Final = re.compile(
    r"max_tokens_to_sample|HUMAN_PROMPT|AI_PROMPT|anthropic[\w.()]*\.completions?\b"
)
"""Words without which a file that cannot be parsed is not reported."""
_Found = tuple[list[Finding], Evidence]
_FEW: Final = 500
_BATCH: Final = 200


@dataclass
class Report:
    """The result of a scan.

    Attributes:
        findings: All findings, by path and place.
        files: The number of files that were read.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0

    def summary(self) -> dict[str, Any]:
        """Return the totals."""
        levels = Counter(finding.hardness for finding in self.findings)
        calls = [f for f in self.findings if f.code in ("TC101", "TC102")]
        ready = [f for f in calls if f.hardness is Hardness.MECHANICAL]
        return {
            "files": self.files,
            "files_with_findings": len({finding.path for finding in self.findings}),
            "findings": len(self.findings),
            **{str(level): levels[level] for level in Hardness},
            "calls": len(calls),
            "ready": len(ready),
        }


def scan(
    paths: Sequence[Path],
    options: Options,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Report:
    """Scan files and folders.

    Args:
        paths: Files and folders.
        options: The rewrite that the findings describe.
        progress: Called with the number of files that are done, and of all.
    """
    files = list(walk(paths))
    report = Report(files=len(files))
    whole = Evidence()
    for found, evidence_of_batch in _results(files, options, progress):
        report.findings += found
        whole.add(evidence_of_batch)
    report.findings += released(whole, paths)
    if not any(f.code < "TC400" and f.code != "TC001" for f in report.findings):
        # A pin alone is no use of the old API.
        report.findings = [f for f in report.findings if f.code != "TC411"]
    report.findings.sort()
    return report


def _results(
    files: list[tuple[str, str]], options: Options, progress: Callable[[int, int], object]
) -> Iterable[_Found]:
    batches = [tuple(batch) for batch in _batches(files)]
    done = 0
    if len(files) <= _FEW:
        results: Iterable[_Found] = (_scan_files(batch, options) for batch in batches)
        yield from results
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count() or 1, context, _end_with_the_parent) as pool:
        for batch, found in zip(
            batches, pool.map(_scan_files, batches, [options] * len(batches)), strict=True
        ):
            done += len(batch)
            progress(done, len(files))
            yield found


def _end_with_the_parent() -> None:
    """End this process when the one that started it is gone, such as after a SIGTERM."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _batches(files: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    return (files[start : start + _BATCH] for start in range(0, len(files), _BATCH))


def _scan_files(files: Sequence[tuple[str, str]], options: Options) -> _Found:
    findings: list[Finding] = []
    whole = Evidence()
    for path, kind in files:
        found, of_file = scan_file(path, kind, options)
        findings += found
        whole.add(of_file)
    return findings, whole


def scan_file(path: str, kind: str, options: Options) -> _Found:
    """Return the findings of one file, and what it has for its project."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        return [_unreadable(path, f"the file cannot be read: {error.strerror}")], Evidence()
    signed = any(sign in data for sign in _SIGNS)
    more = (
        any(mark in data for mark in _MARKS)
        or b"max_tokens_to_sample" in data
        or any(sign in data for sign in _INVOKING)
        or _may_have_a_response(data, path, kind)
    )
    if len(data) > MOST_BYTES or not (signed or more):
        return [], Evidence()
    text = data.decode("utf-8-sig", errors="replace")
    found = _findings(text, path, kind, options) if signed else []
    return found, evidence(
        text, path, kind, found, lambda: _pending(text, path, kind) if more else []
    )


def _may_have_a_response(data: bytes, path: str, kind: str) -> bool:
    """Return whether a file may have the type of a response, and names this vendor."""
    if kind in ("py", "ipynb", TEXT) or b"ompletion" not in data:
        return False
    return b"laude" in data or b"nthropic" in data or names_vendor("", path)


def _findings(text: str, path: str, kind: str, options: Options) -> list[Finding]:
    try:
        return scan_text(text, path, kind, options)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        line = error.lineno or 1 if isinstance(error, SyntaxError) else 1
        message = f"the file cannot be parsed: {reason}"
        found = _by_lexing(text, path)
        if found:
            first = found[0]
            remedy = f"{first.remedy}; other uses may be missed, as {message} (line {line})"
            return [replace(first, remedy=remedy), *found[1:]]
        return [_unreadable(path, message, line)] if OLD_WORDS.search(text) else []


def scan_text(text: str, path: str, kind: str, options: Options) -> list[Finding]:
    """Return the findings of a text.

    Raises:
        SyntaxError: It is Python that cannot be parsed.
        ValueError: It is no notebook.
    """
    if kind == "py":
        return uses.findings(text, path, options, surroundings(path))
    if kind == "ipynb":
        return _of_cells(
            text,
            lambda source: [
                *uses.findings(source, path, options, surroundings(path)),
                *languages.findings(Notebook.commands(source), path, "sh"),
            ],
        )
    if kind == "pins":
        return pins.findings(text, path)
    if kind == TEXT:
        return []
    return languages.findings(text, path, kind)


def _of_cells(text: str, find: Callable[[str], list[Finding]]) -> list[Finding]:
    """Return the findings of a notebook, with the places in its cells."""
    notebook = Notebook(text)
    source = notebook.source(written=True)
    found = []
    for finding in find(source):
        cell, line = notebook.place(source, finding.line)
        found.append(replace(finding, cell=cell, line=line))
    return found


def _pending(text: str, path: str, kind: str) -> list[Finding]:
    """Return what counts in a file without a use of its own if its project has one."""
    try:
        if kind == "py":
            return uses.pending_uses(text, path)
        if kind == "ipynb":
            return _of_cells(text, lambda source: uses.pending_uses(source, path))
    except (SyntaxError, ValueError):
        return []
    return (
        languages.pending_text(text, path) if kind == TEXT else languages.pending(text, path, kind)
    )


def _by_lexing(text: str, path: str) -> list[Finding]:
    """Return what is found without a syntax tree, as in Python 2."""
    return languages.findings(text, path, "sh")


def _unreadable(path: str, message: str, line: int = 1) -> Finding:
    remedy = "convert it to Python 3, or repair it, or scan with the Python that it is for"
    return Finding(path, 0, line, 1, "TC001", Hardness.BY_HAND, message, remedy)
