"""Arguments that were not given, told apart from those that were given as None.

`None` is sent as `null`, and a timeout of `None` is no timeout at all; so leaving an argument out
needs values of its own. There are two, as users of the official package know them: `not_given`
(its old name is `NOT_GIVEN`) and `omit`. The second also takes a default header away.
"""

from __future__ import annotations

from typing import Final, Literal


class NotGiven:
    """The type of `not_given`: false, and the same for everyone."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


class Omit:
    """The type of `omit`: a field or a header that is left out."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "omit"


not_given: Final = NotGiven()
NOT_GIVEN: Final = not_given
omit: Final = Omit()


def is_given(value: object) -> bool:
    """Whether an argument was given."""
    return not isinstance(value, NotGiven | Omit)
