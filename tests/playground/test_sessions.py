"""Sessions: reloads, restarts, files and links. The text is never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import PATIENCE_S, RunningServer, running_server
from tests.playground.pages import QUESTION, PlaygroundPage, watched

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MANY_TOKENS = 100_000


def completed(page: PlaygroundPage) -> str:
    page.write(QUESTION)
    page.set("temperature", 0)
    page.page.focus("#area")
    page.complete()
    return page.text


def started_writing(page: PlaygroundPage) -> int:
    """Begin a completion that does not end by itself, and return the length of its first text."""
    page.write(QUESTION)
    page.set("max_tokens_to_sample", MANY_TOKENS)
    page.page.focus("#area")
    page.page.keyboard.press("Control+Enter")
    page.wait_until_written(len(QUESTION) + 40)
    return len(page.drawn)


def test_reload_keeps_text_tokens_branches_and_settings(page: PlaygroundPage) -> None:
    text = completed(page)
    page.page.keyboard.type(" X")
    page.page.reload()
    page.started()
    assert page.text == page.drawn == f"{text} X"
    assert page.page.input_value("#setting-temperature") == "0"
    assert page.page.locator("#sheet .token").count() > 5
    page.page.click(".branch")
    assert page.text == text
    assert page.figure("Out") == "11"


def test_reload_keeps_text_that_is_being_written(page: PlaygroundPage) -> None:
    text = completed(page)
    # A store that begins to write, and never ends.
    page.page.evaluate(
        """() => {
          IDBDatabase.prototype.transaction = () => {
            document.body.dataset.begun = "yes";
            return { objectStore: () => ({ put() {} }) };
          };
        }"""
    )
    page.page.keyboard.type(" X")
    page.page.wait_for_selector("body[data-begun]")
    page.page.reload()
    page.started()
    assert page.text == page.drawn == f"{text} X"


def test_reload_in_the_middle_of_a_completion_keeps_the_drawn_text(
    browser: Browser, endless_model: Path
) -> None:
    with running_server("--model", str(endless_model)) as server, watched(browser) as page:
        page.opened(server.url)
        length = started_writing(page)
        page.page.reload()
        page.started()
        assert page.text.startswith(QUESTION)
        assert len(page.text) >= length
        assert page.drawn == page.text
        assert page.figure("End") == "stopped"


def test_killed_server_leaves_the_text_and_its_successor_continues(
    browser: Browser, endless_model: Path
) -> None:
    arguments = ("--model", str(endless_model))
    with watched(browser) as page:
        with running_server(*arguments) as server:
            page.opened(server.url)
            length = started_writing(page)
            server.process.kill()
            server.process.wait(PATIENCE_S)
            page.wait_for_end()
        text = page.text
        assert len(text) >= length
        assert "The text so far is kept." in page.page.inner_text("#alert")
        page.page.wait_for_selector("#server[data-state=gone]")
        port = server.url.rpartition(":")[2]
        with running_server(*arguments, "--port", port):
            page.page.wait_for_selector("#server[data-state=ready]")
            page.set("max_tokens_to_sample", 8)
            page.page.focus("#area")
            page.complete()
            assert page.text.startswith(text)
            assert len(page.text) > len(text)
            assert page.page.inner_text("#alert") == ""


def test_exported_session_is_imported_into_another_profile(
    browser: Browser, playground: RunningServer, page: PlaygroundPage, tmp_path: Path
) -> None:
    text = completed(page)
    page.page.click("#open-sessions")
    with page.page.expect_download() as download:
        page.page.click("#session-export")
    file = tmp_path / "session.json"
    download.value.save_as(file)
    assert json.loads(file.read_text())["format"] == "tenuto-playground"
    with watched(browser) as other:
        other.opened(playground.url)
        other.page.click("#open-sessions")
        other.page.set_input_files("#session-file", file)
        other.page.wait_for_selector(".branch")
        assert other.text == other.drawn == text
        other.put_caret(len(QUESTION) + 1)
        assert other.page.locator("#token tbody tr").count() == 5
        other.page.reload()
        other.started()
        assert other.text == text


def test_file_of_another_format_is_refused_with_the_name_of_the_file(
    page: PlaygroundPage, tmp_path: Path
) -> None:
    file = tmp_path / "other.json"
    file.write_text('{"format": "other"}')
    page.page.click("#open-sessions")
    page.page.set_input_files("#session-file", file)
    page.page.wait_for_selector("#sessions-message:not(:empty)")
    message = page.page.inner_text("#sessions-message")
    assert message == 'other.json: format: must be "tenuto-playground".'


def test_sessions_are_kept_until_they_are_deleted(page: PlaygroundPage) -> None:
    page.write("First")
    page.page.click("#open-sessions")
    page.page.click("#session-new")
    page.page.wait_for_selector("#sessions-dialog:not([open])", state="attached")
    assert page.text == ""
    page.write("Second")
    page.page.click("#open-sessions")
    names = page.page.locator("#sessions .open")
    names.nth(1).wait_for()
    assert names.all_inner_texts() == ["Second", "First"]
    names.nth(1).click()
    page.page.wait_for_selector("#sessions-dialog:not([open])", state="attached")
    assert page.text == "First"
    page.page.click("#open-sessions")
    for name in ("First", "Second"):
        page.page.click(f"[aria-label='Delete {name}']")
        page.page.wait_for_selector(f"[aria-label='Delete {name}']", state="detached")
    page.page.click("#sessions-dialog [data-close]")
    assert page.text == ""
    page.page.reload()
    page.started()
    assert page.text == ""


def test_link_opens_the_prompt_in_a_new_session_and_sends_nothing(
    browser: Browser, playground: RunningServer, page: PlaygroundPage
) -> None:
    page.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.write(QUESTION)
    page.set("seed", 11)
    page.page.click("#open-share")
    page.page.click("#share-link")
    page.page.wait_for_selector("#share-status:not(:empty)")
    link: str = page.page.evaluate("navigator.clipboard.readText()")
    fragment = "#" + link.partition("#")[2]
    with watched(browser) as other:
        other.opened(playground.url, fragment)
        assert other.text == QUESTION
        assert other.page.input_value("#setting-seed") == "11"
        assert other.page.url == f"{playground.url}/playground"
        assert "/v1/complete" not in other.paths


def test_session_that_is_opened_during_a_completion_gets_none_of_its_text(
    browser: Browser, endless_model: Path
) -> None:
    with running_server("--model", str(endless_model)) as server, watched(browser) as page:
        page.opened(server.url)
        page.write("Another session")
        page.page.click("#open-sessions")
        page.page.click("#session-new")
        length = started_writing(page)
        page.page.click("#open-sessions")
        page.page.click("#sessions .open:text-is('Another session')")
        page.page.wait_for_selector("#sessions-dialog:not([open])", state="attached")
        assert page.text == page.drawn == "Another session"
        page.page.click("#open-sessions")
        page.page.click("#sessions .open:not(:text-is('Another session'))")
        page.page.wait_for_selector("#sessions-dialog:not([open])", state="attached")
        assert page.text.startswith(QUESTION)
        assert len(page.text) >= length
        assert page.figure("End") == "stopped"
        assert page.faults == []
