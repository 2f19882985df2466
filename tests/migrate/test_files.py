"""The files that a scan reads, by their names."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tenuto.migrate.files import kind_of, walk
from tenuto.migrate.language_kinds import LANGUAGES
from tenuto.migrate.python.plan import Options
from tenuto.migrate.scan import scan

KEY = '{"model": "claude-2", "prompt": p, "max_tokens_to_sample": 9}\n'


@pytest.mark.parametrize("end", sorted(LANGUAGES))
def test_each_kind_of_file_is_read(end: str, tmp_path: Path) -> None:
    text = f"<script>{KEY}</script>\n" if end in ("html", "htm") else KEY
    (tmp_path / f"ask.{end}").write_text(text, encoding="utf-8")

    assert [finding.line for finding in scan([tmp_path], Options()).findings] == [1]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Code.gs", "gs"),
        ("index.astro", "astro"),
        ("completions.rbi", "rbi"),
        ("completions.rbs", "rbs"),
        ("Program.fs", "fs"),
        ("Claude.cls", "cls"),
        ("joke.test.w", "w"),
        ("ask.rest", "rest"),
        ("ask.bru", "bru"),
        ("ask.hurl", "hurl"),
        ("prod.tfvars", "tfvars"),
        ("page.pyw", "py"),
        (".env.local", "env"),
        ("Dockerfile", "dockerfile"),
        ("index.html", "html"),
        ("ask.bat", "bat"),
        ("prompts/ask.txt", "text"),
        ("ask.jinja2", "text"),
        ("prompts/reply.blade.php", "text"),
        ("mail.txt.erb", "text"),
        ("requirements-dev.txt", "pins"),
    ],
)
def test_kind_is_that_of_the_end_of_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@pytest.mark.parametrize("name", ["README.md", "page.rst", "data.csv", "package-lock.json"])
def test_documents_and_data_are_not_read(name: str) -> None:
    assert kind_of(name) is None


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("#!/usr/bin/env python3", "TC401"),
        ("#!/usr/bin/env -S uv run --script", "TC401"),
        ("#!/usr/bin/env node", "TC401"),
        ("#!/bin/sh", "TC401"),
        ("#!/usr/bin/perl -w", "TC412"),
    ],
)
def test_script_without_an_end_of_its_name_is_read(first: str, code: str, tmp_path: Path) -> None:
    body = 'body = {"model": "claude-2", "prompt": text, "max_tokens_to_sample": 9}'
    (tmp_path / "ask").write_text(f"{first}\n{body}\n", encoding="utf-8")

    assert [(f.line, f.code) for f in scan([tmp_path], Options()).findings] == [(2, code)]


def test_other_files_without_an_end_of_their_names_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text(KEY, encoding="utf-8")

    assert scan([tmp_path], Options()).files == 0


@pytest.mark.parametrize(
    "rules",
    [
        "*\n!*/\n!*.py\n",
        "*\n!a/\n!a/b.py\n",
        "a/*\n!a/c/\n",
        "/a/\n!/a/b.py\n",
        "a/**\n!a/**/\n!a/**/*.py\n",
        "*.py\n!a/\n",
        "c/\n!a/c/\n",
        "**/c\n",
        "a/c\n!b.py\n",
    ],
)
def test_files_are_those_that_git_does_not_ignore(rules: str, tmp_path: Path) -> None:
    for name in ("b.py", "a/b.py", "a/c/b.py", "a/c/d/b.py", "c/b.py", "d/c/e/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text(rules, encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "-o", "--exclude-standard", "*.py"],
        capture_output=True,
        text=True,
        check=True,
    )

    found = {str(Path(file).relative_to(tmp_path)) for file, _ in walk([tmp_path])}

    assert found == set(listed.stdout.split())
