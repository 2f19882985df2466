"""What can be wrong with a model's name, its download, or its place on this machine."""

from __future__ import annotations


class ModelUnavailable(Exception):
    """A model cannot be had. The message is one line: what is wrong, and the remedy.

    Args:
        message: That line.
        asked_wrongly: Whether what was asked for is at fault, and not the network or the disk.
    """

    def __init__(self, message: str, *, asked_wrongly: bool = False) -> None:
        super().__init__(message)
        self.asked_wrongly = asked_wrongly


def size_text(size: int) -> str:
    """Bytes as people read them: `512 B`, `3.5 MB`, `4.7 GB`; a MB is 1,000,000 bytes."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.95 or (unit == "B" and size < 1000):
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
