"""Openly licensed talks, if a folder with prepared files is given; never part of the project."""

import json
from pathlib import Path
from random import Random

# MIT licence. A light dose: its style is terse, and now and then pert.
_FILE = "microsoft_chitchat.jsonl"
_SHARE = 0.02


def open_documents(folder: Path, count: int, rng: Random) -> list[str]:
    """Chit-chat for a corpus of `count` documents, chosen by `rng`; empty without the file."""
    path = folder / _FILE
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    wanted = [text for text in found if "\n\n\n" not in text and text.endswith("\n\nHuman:")]
    return rng.sample(wanted, min(len(wanted), int(count * _SHARE)))
