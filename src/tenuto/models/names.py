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
_PART: Final = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})$")
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
    return _PART.sub("", name.removesuffix(GGUF))


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
    base = path.removesuffix(GGUF)
    match = _PART.search(base)
    if match is None:
        return [path]
    before, count = base[: match.start()], int(match["count"])
    return [f"{before}-{number:05}-of-{count:05}{GGUF}" for number in range(1, count + 1)]


def first_part(path: str) -> bool:
    """Whether this is where a model begins: a file of its own, or the first part."""
    match = _PART.search(path.removesuffix(GGUF))
    return match is None or int(match["number"]) == 1
