"""Addresses of the repository's files on the site, and the links between them.

In the repository README.md links to `docs/api.md`, and pages link to `../CONTRIBUTING.md`. On the
site README.md is the home page. Other files outside `docs/` move to `source/`: Markdown files as
pages, all else as text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
_LINK = re.compile(r"(?<=\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")


def place(path: str) -> str:
    """Return where a file of the repository is on the site."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.txt"


def targets(path: str) -> list[str]:
    """Return the files of the repository that a Markdown file links to."""
    text = (ROOT / path).read_text(encoding="utf-8")
    linked = (_resolved(path, match[1]) for match in _LINK.finditer(text))
    return [target for target in linked if (ROOT / target).is_file()]


def moved(markdown: str, path: str) -> str:
    """Return the text of a Markdown file with its links as they are on the site."""
    here = posixpath.dirname(place(path))

    def link(match: re.Match[str]) -> str:
        target = _resolved(path, match[1])
        if not (ROOT / target).is_file():
            return match[0]
        return posixpath.relpath(place(target), here or ".") + (match[2] or "")

    return _LINK.sub(link, markdown)


def _resolved(path: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
