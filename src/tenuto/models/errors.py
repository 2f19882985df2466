"""Errors of model names, downloads and the models' folder."""

from __future__ import annotations


class ModelUnavailable(Exception):
    """A model that cannot be found or downloaded.

    Args:
        message: One line: the problem and the remedy.
        user_error: Whether the request is at fault, and not the network or the disk.
    """

    def __init__(self, message: str, *, user_error: bool = False) -> None:
        super().__init__(message)
        self.user_error = user_error


def size_text(size: int) -> str:
    """Return bytes as people read them: `512 B`, `3.5 MB`, `4.7 GB`; 1 MB is 1,000,000 bytes."""
    if size < 1000:
        return f"{size} B"
    value = size / 1000
    for unit in ("kB", "MB", "GB"):
        if value < 999.95:
            return f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
