"""Values of an argument that was left out, unlike `None`.

`None` is sent as `null`, and a timeout of `None` means no limit. The official package has two
sentinels, so both exist here: `not_given` (formerly `NOT_GIVEN`) and `omit`, which also removes a
default header.
"""

from __future__ import annotations

from typing import Final, Literal


class NotGiven:
    """The type of `not_given`, which is falsy."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


class Omit:
    """The type of `omit`: leave out a field or a header."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "omit"


not_given: Final = NotGiven()
NOT_GIVEN: Final = not_given
omit: Final = Omit()


def is_given(value: object) -> bool:
    """Return whether a value is neither of the two sentinels."""
    return not isinstance(value, NotGiven | Omit)
