"""Names of models with `*`: the one wildcard, so that names with brackets mean themselves."""

from __future__ import annotations


class Pattern:
    """A name in which `*` stands for any characters, and all others for themselves.

    A name is matched in time linear in its length: it comes from a caller, and may be long.
    """

    __slots__ = ("_end", "_middle", "_start", "text")

    def __init__(self, text: str) -> None:
        self.text: str = text
        self._start, *rest = text.split("*")
        self._end = rest.pop() if rest else None
        self._middle = [part for part in rest if part]

    @property
    def is_name(self) -> bool:
        """Whether it matches itself alone."""
        return self._end is None

    def matches(self, name: str) -> bool:
        """Whether a name is one of those meant, its letters' case included."""
        if self._end is None:
            return name == self._start
        last = len(name) - len(self._end)
        at = len(self._start)
        if last < at or not name.startswith(self._start) or not name.endswith(self._end):
            return False
        for part in self._middle:
            found = name.find(part, at, last)
            if found < 0:
                return False
            at = found + len(part)
        return True
