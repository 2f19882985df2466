"""How a command says that it cannot go on."""

from __future__ import annotations


class Failure(Exception):
    """Ends a command.

    Args:
        message: One line for the person at the terminal: what is wrong, and the remedy.
        code: The exit code: 1 the work failed, 2 the input is wrong.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code
