"""Models split into several GGUF files, as llama.cpp's `gguf-split` writes them.

The first file holds all metadata, the others only three keys (`split.no`, `split.count`,
`split.tensors.count`) and tensors. With `--no-tensor-first-split` the first file has no tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tenuto.core.part_name import part_name
from tenuto.engine.local import gguf, links
from tenuto.engine.local.gguf import Gguf, ModelFileError

_COUNT: Final = "split.count"
_NUMBER: Final = "split.no"
_TENSORS: Final = "split.tensors.count"

_MAX_FILES: Final = 99_999


def model_name(path: Path) -> str:
    """Return a model's name: its file's without part number and ending."""
    part = part_name(path.name)
    return (part.stem if part else path.stem) or path.name


def read(path: Path) -> Gguf:
    """Read and check everything but the weights, in all files of a model, from its first one.

    Raises:
        ModelFileError: A file is missing or damaged, or the files are not the parts of one model.
        OSError: The file cannot be read.
    """
    first = gguf.read(path)
    others = files(path, first)[1:]
    if not others:
        return first
    tensors = list(first.tensors)
    for number, other in enumerate(others, 2):
        try:
            part = gguf.read(other)
            _check_part(part, number, first)
        except (OSError, ModelFileError) as error:
            reason = gguf.problem(other, error)
            raise ModelFileError(f"its part {other.name}: {reason}") from None
        tensors += part.tensors
    _check_whole(tensors, first)
    return Gguf(first.metadata, tuple(tensors))


def files(path: Path, first: Gguf) -> list[Path]:
    """Return the paths of all files of a model, the first one first.

    The other files are searched beside the path, and if it is a link, beside its targets: a cache
    may keep files under other names.

    Raises:
        ModelFileError: The file is not the first one, or its name does not have the form of a part.
    """
    count = _number(first, _COUNT, 1)
    if count < 2:
        return [path]
    named = [(step, part) for step in links.steps(path) if (part := part_name(step.name))]
    named = [(step, part) for step, part in named if part.count == count]
    if count > _MAX_FILES or not named:
        raise ModelFileError(
            f"a part of a model in {count} files; its name must be "
            f"NAME-00001-of-{count:05}.gguf, with the other files beside it"
        )
    part = named[0][1]
    number = _number(first, _NUMBER, 0) + 1
    if part.number == number != 1:
        raise ModelFileError(
            f"part {number} of a model in {count} files; name its first file, {part.of(1)}"
        )
    if part.number != number:
        raise ModelFileError(
            f"its name is that of part {part.number}, and its metadata ({_NUMBER}) that of part "
            f"{number} of {count}; give each file its original name"
        )
    choices = [
        [step, *(step.with_name(part.of(other)) for other in range(2, count + 1))]
        for step, part in named
        if part.number == 1
    ]
    whole = (choice for choice in choices if all(file.exists() for file in choice))
    return next(whole, choices[0])


def is_split(file: Gguf) -> bool:
    """Return whether a model consists of several files."""
    return _number(file, _COUNT, 1) > 1


def _number(file: Gguf, key: str, default: int) -> int:
    value = file.metadata.get(key, default)
    if type(value) is not int or value < 0:
        raise ModelFileError(f"metadata {key} is {value!r}, and must be an integer from 0")
    return value


def _check_part(part: Gguf, number: int, first: Gguf) -> None:
    """Check that a file is the part with this number of the same model."""
    for key, expected in (
        (_NUMBER, number - 1),
        (_COUNT, first.metadata[_COUNT]),
        (_TENSORS, first.metadata.get(_TENSORS)),
    ):
        value = part.metadata.get(key)
        if value != expected and not (key == _TENSORS and None in (value, expected)):
            raise ModelFileError(
                f"metadata {key} is {'missing' if value is None else value}, and must be "
                f"{expected}: the file belongs to another model; download the model again"
            )


def _check_whole(tensors: Sequence[gguf.Tensor], first: Gguf) -> None:
    """Check that no tensor is missing, or in two parts."""
    twice = [name for name, count in Counter(t.name for t in tensors).items() if count > 1]
    if twice:
        raise ModelFileError(
            f"tensor {twice[0]!r} is in two of its parts: one of them belongs to another model"
        )
    expected = _number(first, _TENSORS, len(tensors))
    if len(tensors) != expected:
        raise ModelFileError(
            f"its parts hold {len(tensors)} tensors, and {_TENSORS} is {expected}: one of them "
            "belongs to another model; download the model again"
        )
