"""The playground in a browser: what a person does there, and what must never happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

# Longer than any step of a page takes on a busy machine.
PATIENCE_MS = 60_000

QUESTION = "\n\nHuman: What is the capital of France?\n\nAssistant:"

RECORD_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class PlaygroundPage:
    """A tab with the playground.

    Attributes:
        page: The tab.
        faults: Errors of scripts, dialogs, and requests to other hosts, so far.
        paths: Paths of all requests so far.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.faults: list[str] = []
        self.paths: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(RECORD_VIOLATIONS)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("console", self._on_console)
        page.on("dialog", self._on_dialog)
        page.on("request", lambda request: self._on_request(request.url))

    def opened(self, url: str, fragment: str = "") -> PlaygroundPage:
        """Open the playground of a server, and wait until the model is ready."""
        self.page.goto(f"{url}/playground{fragment}")
        return self.started()

    def started(self) -> PlaygroundPage:
        """Wait until the page has started and the model is ready."""
        self.page.wait_for_selector("body[data-started]")
        self.page.wait_for_selector("#server[data-state=ready]")
        self.page.wait_for_selector("#model option", state="attached")
        return self

    @property
    def text(self) -> str:
        """The text of the editor."""
        return str(self.page.input_value("#area"))

    @property
    def drawn(self) -> str:
        """The text that a person sees in the editor, with the line breaks of a text area."""
        drawn = str(self.page.evaluate("document.getElementById('sheet').textContent"))
        return drawn.replace("\r\n", "\n")

    def write(self, text: str) -> None:
        """Replace the text of the editor."""
        self.page.fill("#area", text)

    def set(self, name: str, value: object) -> None:
        """Fill in a number of the settings."""
        self.page.fill(f"#setting-{name}", str(value))

    def complete(self) -> None:
        """Complete the text, and wait for the end."""
        self.page.keyboard.press("Control+Enter")
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """Wait until the announcement of the end, which follows everything else."""
        self.until(
            "!document.getElementById('run').hidden"
            " && !document.getElementById('status').textContent.startsWith('Writing')"
        )

    def wait_until_written(self, characters: int) -> None:
        """Wait until the drawn text has more than this number of characters."""
        self.until(f"document.getElementById('sheet').textContent.length > {characters}")

    def until(self, condition: str) -> None:
        """Wait for a condition in JavaScript.

        Playwright's own function evaluates texts in the page, which the page's policy forbids.
        """
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(20)

    def put_caret(self, position: int) -> None:
        """Put the caret into the text."""
        self.page.focus("#area")
        self.page.evaluate("(at) => area.setSelectionRange(at, at)", position)

    def figure(self, term: str) -> str:
        """Return a figure of the completion."""
        row = self.page.locator("#figures div", has=self.page.locator(f"dt:text-is('{term}')"))
        return str(row.locator("dd").inner_text())

    def violations(self) -> list[str]:
        """Return the violations of the page's content security policy."""
        found: list[str] = self.page.evaluate("window.violations")
        return found

    def _on_console(self, message: ConsoleMessage) -> None:
        # Browsers log each response with an error status.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _on_dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, url: str) -> None:
        parts = urlsplit(url)
        self.paths.append(parts.path)
        if parts.scheme not in ("blob", "data") and parts.hostname != "127.0.0.1":
            self.faults.append(f"request: {url}")


@contextmanager
def watched(browser: Browser, **options: Any) -> Iterator[PlaygroundPage]:
    """Yield a tab with a profile of its own. In the end it must be without faults."""
    context = browser.new_context(**options)
    try:
        page = PlaygroundPage(context.new_page())
        yield page
        assert page.faults == []
        assert page.violations() == []
        assert context.cookies() == []
    finally:
        context.close()
