"""Openly licensed talks from an optional folder of prepared files outside the project."""

import json
from pathlib import Path
from random import Random

# MIT licence. A small share, because its style is terse and sometimes pert.
_FILE = "microsoft_chitchat.jsonl"
_SHARE = 0.02


def open_documents(folder: Path, count: int, rng: Random) -> list[str]:
    """Return chit-chat for a corpus of `count` documents, or nothing without the file."""
    path = folder / _FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    usable = [text for text in found if "\n\n\n" not in text and text.endswith("\n\nHuman:")]
    return rng.sample(usable, min(len(usable), int(count * _SHARE)))
