"""What a model says of itself, be it a GGUF file or a folder in OpenVINO's own format."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tenuto.engine.local import gguf, ir, links, split
from tenuto.engine.local.gguf import Gguf, GgufError
from tenuto.engine.local.ir import IrError

# What `read` raises for a model that is not sound.
Unsound: Final = (GgufError, IrError)

_NO_PRE: Final = (
    "the file does not say how its tokenizer splits text (tokenizer.ggml.pre is missing): answers "
    "may be worse; download the model again, or convert it anew"
)


def read(path: Path) -> Gguf:
    """Read and check everything but the weights themselves; see `split.read` and `ir.read`.

    Raises:
        GgufError: It is no GGUF file, or a damaged one.
        IrError: It is a folder without a model, or with a damaged one.
        OSError: It cannot be read.
    """
    return ir.read(path) if path.is_dir() else split.read(path)


def name(path: Path) -> str:
    """Return what a model is called: its folder's name, or its file's without the ending."""
    called = ir.folder_name(path) if path.is_dir() else split.model_name(path)
    # A file may have any bytes for a name, and an answer is text.
    return called.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def readable(path: Path) -> AbstractContextManager[Path]:
    """Give a model's path in a form that every runtime can open; see `links.readable`.

    Raises:
        GgufError: It is no GGUF file, or a part of a split model that is not the first.
        OSError: It cannot be read.
    """
    if path.is_dir():
        return links.readable([path])
    files = split.files(path, gguf.read(path))
    return links.readable(files if files[1:] else [links.named(path)])


def warnings(file: Gguf) -> list[str]:
    """Return what is odd about a model that runs all the same, a sentence each, for the log."""
    by_words = file.metadata.get("tokenizer.ggml.model") == "gpt2"
    if (
        by_words
        and not file.metadata.get("tokenizer.ggml.pre")
        and not isinstance(file, ir.IrModel)
    ):
        return [_NO_PRE]
    return []


def problem(path: Path, error: Exception) -> str:
    """Return why a model cannot be read, in one line, without the path that was asked for."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"is a link to {path.readlink()}, and there is no such file there"
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
