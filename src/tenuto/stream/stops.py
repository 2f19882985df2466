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

The trie grows while the text walks through it. Built at once, 64 KiB of stop sequences would take
0.1 s, in which no other stream goes on, and 20 MB; a text reaches only a few of their nodes.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class _Node:
    """A text that some stop sequences begin with: those of a range of their sorted list.

    Attributes:
        low: Where the range begins.
        high: Where it ends.
        depth: The length of the text.
        failure: The node of its longest proper suffix in the trie; the root's is itself.
        found: The longest stop sequence that the text ends in, or None.
        children: Those that were reached, by character; None before the first.
    """

    __slots__ = ("children", "depth", "failure", "found", "high", "low")

    def __init__(self, low: int, high: int, depth: int) -> None:
        self.low = low
        self.high = high
        self.depth = depth
        self.failure = self
        self.found: str | None = None
        self.children: dict[str, _Node] | _Node | None = None


class _Automaton:
    """The trie of a set of stop sequences, with its failure links.

    Attributes:
        root: The node of the empty text.
        opening: Matches a character that begins a stop sequence.
    """

    def __init__(self, stops: frozenset[str]) -> None:
        self._stops = sorted(stops)
        self.root = _Node(0, len(stops), 0)
        first = "".join(map(re.escape, sorted({stop[0] for stop in stops})))
        self.opening = re.compile(f"[{first}]") if first else re.compile(r"(?!)")

    def step(self, node: _Node, character: str) -> _Node:
        """Return the node of the longest suffix of node's text + character that is in the trie."""
        while True:
            children = node.children
            if isinstance(children, _Node):
                if self._stops[node.low][node.depth] == character:
                    return children
            else:
                child = children.get(character) if children else None
                child = child or self._child(node, character)
                if child is not None:
                    return child
            if node is self.root:
                return node
            node = node.failure

    def is_leaf(self, node: _Node) -> bool:
        """Whether no stop sequence goes on after a node's text."""
        return node.high - node.low == 1 and node.depth == len(self._stops[node.low])

    def _child(self, node: _Node, character: str) -> _Node | None:
        """Return the child of a node, with all nodes that its failure links lead to."""
        child, new = self._find(node, character)
        if child is None or not new:
            return child
        # Not by recursion: there may be as many as a stop sequence has characters.
        grown = [child]
        while node is not self.root:
            node = node.failure
            suffix, new = self._find(node, character)
            if suffix is not None:
                grown[-1].failure = suffix
                if not new:
                    break
                grown.append(suffix)
        else:
            grown[-1].failure = self.root
        for each in reversed(grown):
            # A node's own stop sequence is longer than any that its suffixes end in.
            stop = self._stops[each.low]
            each.found = stop if len(stop) == each.depth else each.failure.found
        return child

    def _find(self, node: _Node, character: str) -> tuple[_Node | None, bool]:
        """Return a child of a node if there is one, and whether it was reached just now."""
        stops, depth, children = self._stops, node.depth, node.children
        if node.high - node.low == 1:
            stop = stops[node.low]
            if depth == len(stop) or stop[depth] != character:
                return None, False
            if isinstance(children, _Node):
                return children, False
            # Most nodes are of this kind, and have one child: a dictionary would be most of them.
            only = node.children = _Node(node.low, node.high, depth + 1)
            return only, True
        assert not isinstance(children, _Node)
        if children is not None and character in children:
            return children[character], False

        def at_depth(stop: str) -> str:
            return stop[depth : depth + 1]

        low = bisect_left(stops, character, node.low, node.high, key=at_depth)
        high = bisect_right(stops, character, low, node.high, key=at_depth)
        if low == high:
            return None, False
        if children is None:
            children = node.children = {}
        child = children[character] = _Node(low, high, depth + 1)
        return child, True


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
        self._automaton = _Automaton(unique)
        self._node = self._automaton.root
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
        automaton, root = self._automaton, self._automaton.root
        text = self._held + piece
        node, position = self._node, len(self._held)
        while position < len(text):
            if node is root:
                # Nothing is held: skip, at the speed of C, to where a match may begin.
                opening = automaton.opening.search(text, position)
                if opening is None:
                    break
                position = opening.start()
            node = automaton.step(node, text[position])
            position += 1
            found = node.found
            if found is not None and (
                self._match is None or position - len(found) <= self._match_start
            ):
                self._match, self._match_start = found, position - len(found)
            if self._match is not None and self._is_final(node, position):
                return self._end(text)
        return self._hold(text, node)

    def flush(self) -> str:
        """Says that the text has ended; gives what was held back, up to a match if there is one."""
        text, self._held, self._node = self._held, "", self._automaton.root
        return text if self._match is None else self._end(text)

    def _is_final(self, node: _Node, position: int) -> bool:
        candidate = position - node.depth
        if candidate == self._match_start:
            return self._automaton.is_leaf(node)
        return candidate > self._match_start

    def _end(self, text: str) -> str:
        self._stop, self._held = self._match, ""
        return text[: self._match_start]

    def _hold(self, text: str, node: _Node) -> str:
        # A match that is not final begins no earlier than what is held: see `_is_final`.
        free = len(text) - node.depth
        self._match_start -= free
        self._held, self._node = text[free:], node
        return text[:free]
