"""Reports of a scan: text, JSON, annotations for GitHub, SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from tenuto.migrate.findings import TITLES, Finding, Hardness
from tenuto.migrate.scan import Report
from tenuto.version import __version__

FORMATS: Final = ("text", "json", "github", "sarif")
_LEVELS: Final = {
    Hardness.MECHANICAL: ("notice", "note"),
    Hardness.REVIEW: ("warning", "warning"),
    Hardness.BY_HAND: ("error", "error"),
}


def written(report: Report, style: str) -> str:
    """Return a report as text.

    Args:
        report: The report.
        style: One of `FORMATS`.
    """
    if style == "json":
        return json.dumps(as_json(report), indent=2) + "\n"
    if style == "sarif":
        return json.dumps(_sarif(report), indent=2) + "\n"
    lines = _github(report) if style == "github" else _text(report)
    return "".join(f"{line}\n" for line in lines)


def as_json(report: Report) -> dict[str, Any]:
    """Return a report as an object for JSON."""
    return {
        "findings": [_object(finding) for finding in report.findings],
        "summary": report.summary(),
    }


def _object(finding: Finding) -> dict[str, Any]:
    place = {"path": finding.path, "line": finding.line, "column": finding.column}
    cell = {"cell": finding.cell} if finding.cell else {}
    return {
        **place,
        **cell,
        "code": finding.code,
        "hardness": str(finding.hardness),
        "message": finding.message,
        "remedy": finding.remedy,
    }


def place_of(finding: Finding) -> str:
    """Return the place of a finding, for people."""
    cell = f"cell {finding.cell}:" if finding.cell else ""
    return f"{finding.path}:{cell}{finding.line}:{finding.column}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _text(report: Report) -> Iterator[str]:
    for finding in report.findings:
        yield f"{place_of(finding)}: {finding.code} {finding.hardness}: {finding.message}"
        yield f"    {finding.remedy}"
    totals = report.summary()
    if not report.findings:
        yield f"No use of the Text Completions API in {counted(totals['files'], 'file')}."
        return
    yield ""
    yield (
        f"{counted(totals['findings'], 'finding')} in {totals['files_with_findings']:,} of "
        f"{counted(totals['files'], 'file')}: {totals['mechanical']:,} mechanical, "
        f"{totals['review']:,} to review, {totals['by-hand']:,} by hand."
    )
    yield f"Ready: {totals['ready']:,} of {counted(totals['calls'], 'call')} of the Python SDK."


def _github(report: Report) -> Iterator[str]:
    for finding in report.findings:
        level = _LEVELS[finding.hardness][0]
        text = _escaped(f"{finding.message}. {finding.remedy}")
        place = f"file={_property(finding.path)},line={finding.line},col={finding.column}"
        title = _property(f"{finding.code} {finding.hardness}")
        yield f"::{level} {place},title={title}::{text}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _sarif(report: Report) -> dict[str, Any]:
    codes = sorted({finding.code for finding in report.findings})
    rules = [{"id": code, "shortDescription": {"text": TITLES[code]}} for code in codes]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "tenuto", "version": __version__, "rules": rules}},
                "columnKind": "unicodeCodePoints",
                "results": [_sarif_result(finding) for finding in report.findings],
            }
        ],
    }


def _sarif_result(finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    address = PurePath(finding.path).as_posix()
    return {
        "ruleId": finding.code,
        "level": _LEVELS[finding.hardness][1],
        "message": {"text": f"{finding.message}. {finding.remedy}"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": address}, "region": region}}
        ],
        "properties": {"hardness": str(finding.hardness)},
    }
