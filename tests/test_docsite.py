"""Documentation site: navigation and links, as far as they can be tested without MkDocs."""

from __future__ import annotations

import re

import pytest

from docsite.links import PAGES, ROOT, moved, place


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = re.findall(r"([\w-]+\.md)$", navigation, re.MULTILINE)
    written = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(listed) == sorted([*written, *PAGES.values()])


@pytest.mark.parametrize(
    ("path", "link", "on_the_site"),
    [
        ("README.md", "docs/api.md#errors", "api.md#errors"),
        ("README.md", "docs/decisions/0010-bridges.md", "decisions/0010-bridges.md"),
        ("README.md", "NOTICE", "source/NOTICE.txt"),
        ("docs/api.md", "../CONTRIBUTING.md", "contributing.md"),
        ("docs/api.md", "../compat/README.md", "source/compat/README.md"),
        ("docs/decisions/0010-bridges.md", "../api.md", "../api.md"),
        ("compat/README.md", "../docs/compatibility.md", "../../compatibility.md"),
        ("docs/api.md", "settings.md#the-prefix-cache", "settings.md#the-prefix-cache"),
        ("docs/api.md", "https://example.com/api.md", "https://example.com/api.md"),
    ],
)
def test_links_follow_files_to_their_place_on_the_site(
    path: str, link: str, on_the_site: str
) -> None:
    assert moved(f"See [it]({link}).", path) == f"See [it]({on_the_site})."


def test_files_that_are_not_pages_are_served_as_text() -> None:
    assert place("src/tenuto/engine/base.py") == "source/src/tenuto/engine/base.py.txt"
