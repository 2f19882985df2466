"""Event streams, read by hand and by the letter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def events_of(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the name and the data of each event that ends in a blank line."""
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        yield fields["event"], json.loads(fields["data"])
