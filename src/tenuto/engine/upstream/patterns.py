"""Model names with the wildcard `*`. Brackets and `?` match themselves."""

from __future__ import annotations


class Pattern:
    """A name in which `*` matches any characters.

    Matching takes time linear in the length of a name, because callers may send long ones.
    """

    __slots__ = ("_end", "_middle", "_start", "text")

    def __init__(self, text: str) -> None:
        self.text: str = text
        self._start, *rest = text.split("*")
        self._end = rest.pop() if rest else None
        self._middle = [part for part in rest if part]

    @property
    def is_name(self) -> bool:
        """Whether the pattern has no wildcard."""
        return self._end is None

    def matches(self, name: str) -> bool:
        """Return whether a name matches, case-sensitively."""
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
