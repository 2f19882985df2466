"""Quality checks of a generated story: constant names, and an ending that belongs to its plot.

The plots are those of ``stories.toml``, the only ones in the training text.
"""

import re
from functools import cache
from typing import Any

from training.corpus.material import load

_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_MOST_NAMES = 2  # the hero and the friend


@cache
def _known_words() -> frozenset[str]:
    """Return every word of the material for stories, in lower case."""

    def texts(content: Any) -> list[str]:
        if isinstance(content, str):
            return [content]
        parts = content.values() if isinstance(content, dict) else content
        return [text for part in parts if not isinstance(part, int) for text in texts(part)]

    words = _WORD.findall(" ".join(texts(load("stories"))).lower())
    return frozenset(words) | {"a", "an", "she", "he", "her", "his", "him", "girl", "boy"}


def names(text: str) -> set[str]:
    """Return the names in a story: capitalised words that are absent from the material."""
    found = {word.removesuffix("'s") for word in _WORD.findall(text) if word[0].isupper()}
    return {name for name in found if name.lower() not in _known_words()}


def faults(text: str, hero: str | None = None) -> list[str]:
    """Return the faults of a story as messages; empty if it passes every check.

    `hero` is the requested name of the hero, if any.
    """
    found = []
    found_names = names(text)
    if hero and re.search(rf"(?<!\w){hero}(?!\w)", text):
        found_names.add(hero)
    elif hero:
        found.append(f"{hero} does not appear")
    if not found_names:
        found.append("no character has a name")
    if len(found_names) > _MOST_NAMES:
        found.append(f"too many names: {', '.join(sorted(found_names))}")
    found += [
        f"{name} comes once" for name in sorted(found_names) if len(re.findall(name, text)) < 2
    ]
    if not text.rstrip().endswith((".", "!", "?", '"')):
        found.append("it breaks off")
    half = len(text) // 2
    begun = [
        (match.start(), plot, match.groupdict())
        for plot in load("stories")["plot"]
        if (match := re.search(plot["begins"], text[:half]))
    ]
    if not begun:
        return [*found, "it has no plot"]
    _, plot, values = min(begun, key=lambda one: one[0])
    end = plot["ends"].replace("{it}", re.escape(values.get("it", "")))
    if not re.search(end, text[half:]):
        found.append(f"the ending does not belong to the plot '{plot['name']}'")
    return found
