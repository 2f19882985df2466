"""Print the answer to a prompt: as text while it arrives, or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tenuto.cli import output
from tenuto.cli.terminal import Spinner, dim, is_terminal, note


class Answer:
    """An answer that is awaited, then printed.

    Args:
        json: Whether the answer is printed as one JSON object when it is complete.
        trim: Whether to remove its first space.

    Attributes:
        json: As above.
        spinner: Shown from the `with` statement to the first text.
        cut: Whether the text breaks off at the limit of tokens.
    """

    def __init__(self, *, json: bool, trim: bool) -> None:
        self.json = json
        self.spinner = Spinner("Loading the model…")
        self.cut = False
        self._trim = trim
        self._named = False

    def name(self, model: str) -> None:
        """Name the model on a terminal, once, before its text."""
        self.spinner.stop()
        if is_terminal() and not self._named:
            note(dim(model))
        self._named = True

    def trimmed(self, text: str) -> str:
        """Return a piece of text to print."""
        if text and self._trim:
            self._trim = False
            return text.removeprefix(" ")
        return text

    def print_json(self, body: Mapping[str, object]) -> None:
        """Print the response body of the API."""
        self.spinner.stop()
        output.line(json.dumps(body, ensure_ascii=False, indent=2))
