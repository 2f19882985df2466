"""Parse and check the names of models and of their files. Pure.

    [hf:]org/repo[:file-or-quantisation]

Every part of a name is checked, because names on the hub become paths on this machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tenuto.core.part_name import part_name
from tenuto.models.errors import ModelUnavailable

HUB: Final = "hf:"
GGUF: Final = ".gguf"

# The hub's own rule for the names of accounts and repositories, without `..` and `--`.
_REPO: Final = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_FORBIDDEN: Final = re.compile(r"[\x00-\x1f\x7f\\:]")

_QUANTISATION: Final = re.compile(
    r"(?:^|[-._])(?P<name>(?:UD-)?(?:I?Q\d(?:_\w+?)?|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?))(?=$|[-.])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A model on the hub.

    Attributes:
        repo: `org/repo`.
        file: A file or a quantisation; None for the default choice.
    """

    repo: str
    file: str | None = None

    def __str__(self) -> str:
        return self.repo if self.file is None else f"{self.repo}:{self.file}"


def parse(text: str) -> Reference:
    """Parse `org/repo`, `org/repo:file.gguf` or `org/repo:Q8_0`, with or without `hf:`.

    Raises:
        ModelUnavailable: The text has another form.
    """
    repo, colon, file = text.removeprefix(HUB).partition(":")
    if not is_repo(repo) or (colon and not is_file(file)):
        raise ModelUnavailable(
            f"{text!r}: not a model on the hub; write org/repo, org/repo:file.gguf or "
            "org/repo:Q8_0",
            user_error=True,
        )
    return Reference(repo, file or None)


def is_repo(text: str) -> bool:
    """Return whether a text has the form `org/repo`, and is safe as two folders."""
    return bool(_REPO.fullmatch(text)) and ".." not in text


def is_file(path: str) -> bool:
    """Return whether a path within a repository is safe as a path within a folder."""
    steps = path.split("/")
    return not _FORBIDDEN.search(path) and all(step not in ("", ".", "..") for step in steps)


def stem(path: str) -> str:
    """Return a file's name without folders, part number and ending."""
    name = path.rpartition("/")[2]
    part = part_name(name)
    return part.stem if part else name.removesuffix(GGUF)


def quantisation(path: str) -> str | None:
    """Return the quantisation in a file's path, such as `Q4_K_M`; None if the path has none.

    Folders count too, because large models have one for each quantisation.
    """
    for name in reversed([*path.split("/")[:-1], stem(path)]):
        if found := _QUANTISATION.findall(name):
            return str(found[-1]).upper()
    return None


def parts(path: str) -> list[str]:
    """Return all files of a model, from the name of any."""
    part = part_name(path)
    return [part.of(number) for number in range(1, part.count + 1)] if part else [path]


def first_file(path: str) -> str:
    """Return the first file of a model, from the name of any."""
    part = part_name(path)
    return part.of(1) if part else path
