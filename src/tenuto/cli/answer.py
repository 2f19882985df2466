"""Print the answer to a prompt: as text while it arrives, or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tenuto.cli import output
from tenuto.cli.terminal import Spinner, hint


@dataclass
class Answer:
    """An answer that is awaited, then printed.

    Attributes:
        json: Whether it is printed as one JSON object when it is complete.
        trim: Whether to remove its first space; False after the first text.
        spinner: Shown from the `with` statement to the first text.
        cut: Whether the text breaks off at the limit of tokens.
    """

    json: bool
    trim: bool
    spinner: Spinner = field(default_factory=lambda: Spinner("Loading the model…"))
    cut: bool = False
    _named: bool = False

    def name(self, model: str) -> None:
        """Name the model on a terminal, once, before its text."""
        self.spinner.stop()
        if not self._named:
            hint(model)
        self._named = True

    def trimmed(self, text: str) -> str:
        """Return a piece of text to print."""
        trim, self.trim = self.trim, self.trim and not text
        return text.removeprefix(" ") if trim else text

    def print_json(self, body: Mapping[str, object]) -> None:
        """Print the response body of the API."""
        self.spinner.stop()
        output.line(json.dumps(body, ensure_ascii=False, indent=2))
