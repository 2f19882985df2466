"""A budget of bytes for all request bodies in flight."""

from __future__ import annotations

from typing import Final

from tenuto.core.refusal import overloaded

_RETRY_AFTER_S: Final = 1.0
# A body up to this size may use the whole budget, a larger one only a share of it, so that large
# bodies that arrive slowly do not block ordinary requests.
_SMALL_BYTES: Final = 64 * 1024
_SHARE_OF_LARGE: Final = 0.75


class BodyBudget:
    """The bytes of all bodies, from their arrival to the end of the response.

    Args:
        most: Maximum number of bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    @property
    def held(self) -> int:
        """Number of bytes held now."""
        return self._held

    def reservation(self) -> Reservation:
        """Return an empty reservation for a new body."""
        return Reservation(self)

    def add(self, size: int, so_far: int) -> None:
        """Add bytes of a body.

        Args:
            size: Number of bytes to add.
            so_far: Number of bytes of this body before.

        Raises:
            Refusal: The budget is exceeded. Nothing is added.
        """
        large = so_far + size > _SMALL_BYTES
        most = int(_SHARE_OF_LARGE * self._most) if large else self._most
        # A single body is always accepted: its own limit bounds it.
        if self._held > so_far and self._held + size > most:
            raise overloaded(
                "Too many request bodies at once. Try again in a moment.",
                retry_after=_RETRY_AFTER_S,
            )
        self._held += size

    def release(self, size: int) -> None:
        """Give bytes back."""
        self._held -= size


class Reservation:
    """The bytes of one body. The end of its `with` block gives them back."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.release(self._size)
        self._size = 0

    def add(self, size: int) -> None:
        """Add bytes. See `BodyBudget.add`."""
        self._budget.add(size, self._size)
        self._size += size
