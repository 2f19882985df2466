"""How many bytes of request bodies the server holds at a time."""

from __future__ import annotations

from typing import Final

from tenuto.core.refusal import overloaded

_RETRY_AFTER_S: Final = 1.0
# A body up to this size may use the whole budget, a larger one only a part of it: large bodies that
# arrive slowly must not keep ordinary requests out.
_SMALL_BYTES: Final = 64 * 1024
_SHARE_OF_LARGE: Final = 0.75


class BodyBudget:
    """The bytes of all bodies that are in flight, from their arrival to the end of their answer.

    Args:
        most: Most of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @property
    def held(self) -> int:
        """How many bytes are held at this moment."""
        return self._held

    def reservation(self) -> Reservation:
        """Begin a body, of which nothing has arrived yet."""
        return Reservation(self)

    def add(self, size: int, so_far: int) -> None:
        """Hold more bytes of a body.

        Args:
            size: How many more.
            so_far: How many of this body are held already.

        Raises:
            Refusal: There is no room for them. None of them are held.
        """
        large = so_far + size > _SMALL_BYTES
        most = int(_SHARE_OF_LARGE * self._most) if large else self._most
        # One body always has room, however small the budget is: its own limit bounds it.
        if self._held > so_far and self._held + size > most:
            raise overloaded(
                "Too many request bodies at once. Try again in a moment.",
                retry_after=_RETRY_AFTER_S,
            )
        self._held += size

    def release(self, size: int) -> None:
        """Let bytes go that were held."""
        self._held -= size


class Reservation:
    """The bytes of one body. As a context manager it lets go of them at the end."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.release(self._size)
        self._size = 0

    def add(self, size: int) -> None:
        """Hold more bytes. See `BodyBudget.add`."""
        self._budget.add(size, self._size)
        self._size += size
