"""Interrupt the waits of running jobs when their engine is closed."""

from __future__ import annotations

from functools import partial
from typing import Final

from tenuto.core.refusal import failed
from tenuto.interruption import Interruption

SHUTTING_DOWN: Final = "The engine is shutting down."


class Shutdown(Interruption):
    """Interrupts the running jobs of one engine with a `Refusal`."""

    def __init__(self) -> None:
        super().__init__(partial(failed, SHUTTING_DOWN))
