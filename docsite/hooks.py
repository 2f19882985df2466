"""MkDocs hooks: files outside `docs/` that pages link to join the site, and links follow them."""

from __future__ import annotations

import logging
import re
from typing import Any

from mkdocs.structure.files import File

from docsite.links import PAGES, ROOT, moved, place, targets

_LOADED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\"?(https?:[^\" >]+)"
)
_log = logging.getLogger("mkdocs.plugins.docsite")

_paths: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """List the decisions in the navigation."""
    decisions = sorted(file.relative_to(ROOT / "docs") for file in ROOT.glob("docs/decisions/*.md"))
    for section in config.nav:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and "Decisions" in entry:
                entry["Decisions"] = [decision.as_posix() for decision in decisions]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside `docs/` that pages link to, and those that these link to."""
    _paths.clear()
    waiting = [*PAGES, *(f"docs/{file.src_uri}" for file in files.documentation_pages())]
    while waiting:
        path = waiting.pop()
        if place(path) in _paths:
            continue
        _paths[place(path)] = path
        if not path.startswith("docs/"):
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
        if path.endswith(".md"):
            waiting += targets(path)
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Rewrite the links of a page."""
    return moved(markdown, _paths[page.file.src_uri])


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Warn of what a page would load from another host; `--strict` makes that an error."""
    for address in _LOADED.findall(output):
        _log.warning("%s loads %s", page.file.src_uri, address)
    return output
