"""Finds the first stop sequence in text that arrives in pieces.

A push machine: text in, text out, no I/O and no clock. However the text is cut into pieces, the
outcome is that of

    at, _, stop = min((text.find(s), -len(s), s) for s in stops if s in text)
    text[:at], stop

that is, the match that begins earliest wins, whatever the order of the list, and the longest of
those that begin at the same place. Every character leaves as soon as it can no longer be part of
a match, and no character of the match leaves at all.

It is an Aho-Corasick automaton (Aho and Corasick, "Efficient string matching", 1975): a trie of
the stop sequences, in which each node knows its failure node, the longest proper suffix of its
text that is in the trie too. A character costs a constant number of steps on average, however
many stop sequences there are.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache


class _Automaton:
    """The trie of a set of stop sequences, with its failure links. Node 0 is the root.

    Attributes:
        children: For each node, character -> node.
        failure: For each node, the node of its longest proper suffix in the trie.
        depth: For each node, the length of its text.
        found: For each node, the longest stop sequence that its text ends in, or None.
        opening: Matches a character that begins a stop sequence.
    """

    def __init__(self, stops: frozenset[str]) -> None:
        self.children: list[dict[str, int]] = [{}]
        self.failure = [0]
        self.depth = [0]
        self.found: list[str | None] = [None]
        for stop in stops:
            self._add(stop)
        self._link()
        first = "".join(map(re.escape, sorted({stop[0] for stop in stops})))
        self.opening = re.compile(f"[{first}]") if first else re.compile(r"(?!)")

    def _add(self, stop: str) -> None:
        node = 0
        for character in stop:
            child = self.children[node].get(character)
            if child is None:
                child = len(self.children)
                self.children[node][character] = child
                self.children.append({})
                self.failure.append(0)
                self.depth.append(self.depth[node] + 1)
                self.found.append(None)
            node = child
        self.found[node] = stop

    def _link(self) -> None:
        queue = deque(self.children[0].values())
        while queue:
            node = queue.popleft()
            for character, child in self.children[node].items():
                self.failure[child] = self.step(self.failure[node], character)
                # A node's own stop sequence is longer than any that its suffixes end in.
                self.found[child] = self.found[child] or self.found[self.failure[child]]
                queue.append(child)

    def step(self, node: int, character: str) -> int:
        """The node of the longest suffix of node's text + character that is in the trie."""
        while True:
            child = self.children[node].get(character)
            if child is not None:
                return child
            if node == 0:
                return 0
            node = self.failure[node]


@lru_cache(maxsize=64)
def _automaton(stops: frozenset[str]) -> _Automaton:
    return _Automaton(stops)


class StopMatcher:
    """Watches one text for its stop sequences.

    Args:
        stops: The stop sequences, none of them empty, in any order.

    Raises:
        ValueError: A stop sequence is empty.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        unique = frozenset(stops)
        if "" in unique:
            raise ValueError("a stop sequence must not be empty")
        self._automaton = _automaton(unique)
        self._node = 0
        self._held = ""
        # The best match so far, and where in `_held` it begins: it is only final when no
        # earlier, nor a longer one from the same place, can come any more.
        self._match: str | None = None
        self._match_start = 0
        self._stop: str | None = None

    @property
    def stop(self) -> str | None:
        """The stop sequence that ended the text, or None while there is none."""
        return self._stop

    def push(self, piece: str) -> str:
        """Takes the next piece of the text, gives the text that is now free to leave.

        After a match all further text is dropped.
        """
        if self._stop is not None:
            return ""
        automaton = self._automaton
        text = self._held + piece
        node, position = self._node, len(self._held)
        while position < len(text):
            if node == 0:
                # Nothing is held: skip, at the speed of C, to where a match may begin.
                opening = automaton.opening.search(text, position)
                if opening is None:
                    break
                position = opening.start()
            node = automaton.step(node, text[position])
            position += 1
            found = automaton.found[node]
            if found is not None and (
                self._match is None or position - len(found) <= self._match_start
            ):
                self._match, self._match_start = found, position - len(found)
            if self._match is not None and self._is_final(node, position):
                return self._end(text)
        return self._hold(text, node)

    def flush(self) -> str:
        """Says that the text has ended; gives what was held back, up to a match if there is one."""
        text, self._held, self._node = self._held, "", 0
        return text if self._match is None else self._end(text)

    def _is_final(self, node: int, position: int) -> bool:
        candidate = position - self._automaton.depth[node]
        if candidate == self._match_start:
            return not self._automaton.children[node]
        return candidate > self._match_start

    def _end(self, text: str) -> str:
        self._stop, self._held = self._match, ""
        return text[: self._match_start]

    def _hold(self, text: str, node: int) -> str:
        # A match that is not final begins no earlier than what is held: see `_is_final`.
        free = len(text) - self._automaton.depth[node]
        self._match_start -= free
        self._held, self._node = text[free:], node
        return text[:free]
