"""The unit all kinds of talk are made of."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple


class Turn(NamedTuple):
    """What a person writes, and what the model answers."""

    human: str
    assistant: str


Talk = list[Turn]
Kind = Callable[[Random], Talk]
