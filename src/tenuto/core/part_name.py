"""Names of the files of a split model, as llama.cpp's `gguf-split` writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(
    r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:\.gguf)?", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class PartName:
    """Name or path of one file of a split model, for example `m-00002-of-00003.gguf`."""

    stem: str
    number: int
    count: int

    def of(self, number: int) -> str:
        """Return the name of another file of the same model."""
        return f"{self.stem}-{number:05}-of-{self.count:05}.gguf"


def part_name(name: str) -> PartName | None:
    """Parse the name or path of a file; return None if it is not that of a part."""
    found = _NAME.fullmatch(name)
    if found is None or not 1 <= int(found["number"]) <= int(found["count"]):
        return None
    return PartName(found["stem"], int(found["number"]), int(found["count"]))
