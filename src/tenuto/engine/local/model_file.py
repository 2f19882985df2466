"""What a model says of itself, be it a GGUF file or a folder in OpenVINO's own format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tenuto.engine.local import gguf, ir
from tenuto.engine.local.gguf import Gguf, GgufError
from tenuto.engine.local.ir import IrError

# What `read` raises for a model that is not sound.
Unsound: Final = (GgufError, IrError)


def read(path: Path) -> Gguf:
    """Reads and checks everything but the weights themselves; see `gguf.read` and `ir.read`.

    Raises:
        GgufError: It is no GGUF file, or a damaged one.
        IrError: It is a folder without a model, or with a damaged one.
        OSError: It cannot be read.
    """
    return ir.read(path) if path.is_dir() else gguf.read(path)
