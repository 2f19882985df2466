"""The turn, the unit of all kinds of talk."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple


class Turn(NamedTuple):
    """The text of a person and the answer of the model."""

    human: str
    assistant: str


Talk = list[Turn]
Kind = Callable[[Random], Talk]
