"""The report as a page: self-contained, and everything from the file is text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tenuto.compare.page import MOST_ROWS, MOST_SAMPLED, page
from tests.compare.rows import line, run_of
from tests.playground.browsers import CHROMIUM, chromium
from tests.playground.test_hostile import CORPUS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def hostile_page() -> str:
    lines = [
        line(n, text, f"{text} more", prompt=text, requested=text, warnings=(text,))
        for n, text in enumerate(CORPUS)
    ]
    return page(run_of(*lines), CORPUS[0])


def test_page_names_no_host_and_allows_only_its_own_script() -> None:
    text = page(run_of(line(prompt="Hi")), "Report")
    assert "http://" not in text
    assert "https://" not in text
    (policy,) = re.findall(r'Content-Security-Policy" content="(.*?)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_page_without_kept_texts_has_none() -> None:
    text = page(run_of(line(a="secret answer", b="other secret")), "Report")
    assert "secret" not in text


def test_page_stays_small_and_shows_failures_and_the_least_alike() -> None:
    lines = [line(n, prompt="x" * 30_000) for n in range(MOST_ROWS + 100)]
    text = page(run_of(*lines, line(7777, error="timeout"), line(8888, b="other")), "Report")
    assert len(text) < 25_000 * MOST_ROWS
    assert "req_7777" in text
    assert "req_8888" in text
    assert f"req_{MOST_ROWS + 50}" not in text


def shown(text: str) -> list[dict[str, Any]]:
    """Return the comparisons in a page."""
    data: dict[str, Any] = json.loads(text.split('id="data">')[1].split("</script>")[0])
    return list(data["rows"])


def test_page_has_a_sample_of_equal_answers_and_of_noise() -> None:
    lines = [line(n, b=f"other {n}") for n in range(MOST_ROWS + 100)]
    lines += [line(10_000 + n) for n in range(1_000)]
    lines += [line(20_000 + n, noise=True) for n in range(30)]

    rows = shown(page(run_of(*lines), "Report"))

    equal = [row["id"] for row in rows if row["exact"] and not row["noise"]]
    assert len(equal) == MOST_SAMPLED
    assert equal[-1] > "req_10900"  # From the whole run.
    assert sum(row["noise"] for row in rows) == 30
    assert len(rows) == MOST_ROWS + MOST_SAMPLED + 30


def test_broken_json_is_shown_before_answers_that_are_less_alike() -> None:
    lines = [line(n, b=f"other {n}") for n in range(MOST_ROWS + 100)]
    broken = line(7777, a='{"a": 1, "b": 2, "c": 3}', b='{"a": 1, "b": 2, "c": 3')

    assert shown(page(run_of(*lines, broken), "Report"))[0]["id"] == "req_7777"


def test_verdict_is_in_the_page_without_scripts() -> None:
    text = page(run_of(*(line(n, error="timeout") for n in range(40))), "Report")
    assert "candidate:x does worse; do not move yet." in text
    assert "40 of 40 copies failed (40 timeout)" in text


@pytest.fixture
def tab() -> Iterator[Page]:
    library = pytest.importorskip("playwright.sync_api")
    path = chromium()
    if path is None:
        pytest.skip(f"there is no Chromium: {CHROMIUM}")
    with library.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_hostile_texts_are_text_in_a_browser(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(hostile_page(), encoding="utf-8")
    faults: list[str] = []
    requested: list[str] = []
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda message: faults.append(message.text))
    tab.on("dialog", lambda dialog: faults.append(dialog.message))
    tab.on("request", lambda request: requested.append(request.url))
    tab.goto(file.as_uri())
    tab.locator("summary").evaluate_all("all => all.forEach(each => each.click())")
    tab.wait_for_selector("details[open] .sides")

    assert tab.locator("details").count() == len(CORPUS)
    assert tab.locator(":is(img, svg, iframe, a, form, link, base, math)").count() == 0
    assert tab.locator("script").count() == 2
    written = tab.locator("details").evaluate_all("all => all.map(each => each.textContent)")
    assert any(CORPUS[0] in text for text in written)
    assert (faults, requested) == ([], [file.as_uri()])


def test_filters_and_differences_work_in_a_browser(tab: Page, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    lines = [
        line(1, "It is Paris.", "It is Lyon.", prompt="Where?"),
        line(2, prompt="Equal"),
        line(3, error="timeout", prompt="Slow"),
    ]
    file.write_text(page(run_of(*lines), "Report"), encoding="utf-8")
    tab.goto(file.as_uri())
    assert tab.locator("details").count() == 3

    show = tab.get_by_label("Show")
    show.select_option("different (1)")
    assert tab.locator("details").count() == 1
    tab.locator("summary").click()
    assert tab.locator("del").all_inner_texts() == ["Paris."]
    assert tab.locator("ins").all_inner_texts() == ["Lyon."]
    show.select_option("failed (1)")
    assert "req_3" in tab.locator("summary").inner_text()
    show.select_option("equal (1)")
    assert "req_2" in tab.locator("summary").inner_text()
    show.select_option("all (3)")
    tab.get_by_label("Search").fill("equal")
    assert "req_2" in tab.locator("summary").inner_text()
