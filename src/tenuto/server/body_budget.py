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

    Attributes:
        most: Maximum number of bytes.
        held: Number of bytes held now.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def reservation(self) -> Reservation:
        """Return an empty reservation for a new body."""
        return Reservation(self)


class Reservation:
    """The bytes of one body. The end of its `with` block gives them back."""

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = 0

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.held -= self._size
        self._size = 0

    def add(self, size: int) -> None:
        """Add bytes of the body.

        Raises:
            Refusal: The budget is exceeded. Nothing is added.
        """
        budget = self._budget
        large = self._size + size > _SMALL_BYTES
        most = int(_SHARE_OF_LARGE * budget.most) if large else budget.most
        # A single body is always accepted: its own limit bounds it.
        if budget.held > self._size and budget.held + size > most:
            raise overloaded(
                "Too many request bodies at once. Try again in a moment.",
                retry_after=_RETRY_AFTER_S,
            )
        budget.held += size
        self._size += size
