"""Exceptions that end a command."""

from __future__ import annotations


class Failure(Exception):
    """End a command with an error.

    Args:
        message: One line for the terminal: what is invalid, and the remedy.
        code: The exit code: 1 the work failed, 2 the input is invalid.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """End a command after Ctrl-C, with exit code 130. The message states what is kept."""
