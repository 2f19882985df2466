"""How models and their files are named. Pure.

    [hf:]org/repo[:file-or-quantisation]

Whatever the hub calls a file becomes a path on this machine, so every part of a name is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tenuto.models.errors import ModelUnavailable

HUB: Final = "hf:"
GGUF: Final = ".gguf"

# The hub's own rule for the names of accounts and repositories, without `..` and `--`.
_REPO: Final = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f\\:]")

# For example model-00002-of-00005.gguf.
_PART: Final = re.compile(
    r"(?P<before>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.ASCII | re.DOTALL
)
_QUANTISATION: Final = re.compile(
    r"(?:^|[-._])(?P<name>(?:UD-)?(?:I?Q\d(?:_\w+?)?|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?))(?=$|[-.])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A model on the hub.

    Attributes:
        repo: `org/repo`.
        file: A file, a quantisation, or None for whatever is sensible.
    """

    repo: str
    file: str | None = None

    def __str__(self) -> str:
        return self.repo if self.file is None else f"{self.repo}:{self.file}"


def parse(text: str) -> Reference:
    """`org/repo`, `org/repo:file.gguf` or `org/repo:Q8_0`, with or without `hf:` before it.

    Raises:
        ModelUnavailable: It is none of these.
    """
    repo, colon, file = text.removeprefix(HUB).partition(":")
    if not is_repo(repo) or (colon and not is_file(file)):
        raise ModelUnavailable(
            f"{text!r}: not a model on the hub; write org/repo, org/repo:file.gguf or "
            "org/repo:Q8_0",
            asked_wrongly=True,
        )
    return Reference(repo, file or None)


def is_repo(text: str) -> bool:
    """Whether this can be `org/repo`, and is safe as two folders."""
    return bool(_REPO.fullmatch(text)) and ".." not in text


def is_file(path: str) -> bool:
    """Whether a path within a repository is safe as a path within a folder."""
    steps = path.split("/")
    return not _FORBIDDEN.search(path) and all(step not in ("", ".", "..") for step in steps)


def stem(path: str) -> str:
    """A file's name without folders, number of its part, and ending: what people call it."""
    name = path.rpartition("/")[2]
    match = _part(name)
    return match["before"] if match else name.removesuffix(GGUF)


def quantisation(path: str) -> str | None:
    """The quantisation that a file's name tells, for example `Q4_K_M`; None if it tells none."""
    # Folders count too: large models have one for each quantisation.
    for name in reversed([*path.split("/")[:-1], stem(path)]):
        found = [match["name"].upper() for match in _QUANTISATION.finditer(name)]
        if found:
            return found[-1]
    return None


def parts(path: str) -> list[str]:
    """All files of a model that is split, from the name of any; else the file alone."""
    match = _part(path)
    if match is None:
        return [path]
    before, count = match["before"], int(match["count"])
    return [f"{before}-{number:05}-of-{count:05}{GGUF}" for number in range(1, count + 1)]


def part_count(path: str) -> int:
    """Return how many files a model has, from the name of any."""
    match = _part(path)
    return 1 if match is None else int(match["count"])


def first_file(path: str) -> str:
    """Return the first file of a model, from the name of any."""
    match = _part(path)
    return path if match is None else f"{match['before']}-00001-of-{match['count']}{GGUF}"


def first_part(path: str) -> bool:
    """Whether this is where a model begins: a file of its own, or the first part."""
    return first_file(path) == path


def _part(path: str) -> re.Match[str] | None:
    """Match the name of a part; a number beyond the count is just a name."""
    match = _PART.fullmatch(path.removesuffix(GGUF))
    return match if match and 1 <= int(match["number"]) <= int(match["count"]) else None
