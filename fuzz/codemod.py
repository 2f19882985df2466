"""Mutated programs: the codemod never raises, never breaks a source, and ends after one run.

The programs are those of the corpus of `tests/migrate`, with characters, words and lines moved,
removed and doubled.
"""

from __future__ import annotations

import random
from collections import Counter

from tenuto.migrate.python.plan import Options
from tenuto.migrate.python.rewrite import to_messages_api
from tenuto.migrate.python.source import compiles, parse
from tenuto.migrate.python.to_tenuto import to_tenuto
from tenuto.migrate.python.uses import findings
from tests.migrate.corpus import programs

_PIECES = (
    *('"', "'", '"""', "{", "}", "{{", "(", ")", "\n", "\n\n", " ", ",", "\\", "#", ":", "é", ";"),
    *("f", "r", "+", "\r\n", "\t", "Human:", "\n\nHuman:", "await ", "lambda: ", "*", "**", "="),
)
_OPTIONS = Options()


def main(sources: int, seed: int) -> None:
    """Check mutated sources that can be parsed, and print what happened to them."""
    ends = fuzz(sources, seed)
    print("codemod:", ", ".join(f"{end} {count:,}" for end, count in sorted(ends.items())))


def fuzz(sources: int, seed: int) -> Counter[str]:
    """Return the number of sources that were rewritten, unchanged, or cannot be parsed."""
    random_ = random.Random(seed)
    originals = [p.text for p in programs() if p.kind == "py" and p.name != "python2.py"]
    ends: Counter[str] = Counter()
    while ends["rewritten"] + ends["unchanged"] < sources:
        text = _mutated(random_, originals)
        try:
            parse(text)
        except SyntaxError:
            ends["unparsed"] += 1
            continue
        ends["rewritten" if _check(text, unsafe=random_.random() < 0.5) else "unchanged"] += 1
    return ends


def _check(text: str, *, unsafe: bool) -> bool:
    """Check all that reads or rewrites a source; return whether it changed."""
    findings(text, "a.py")
    parse(to_tenuto(text).text)
    new = to_messages_api(text, _OPTIONS, unsafe=unsafe).text
    parse(new)
    assert compiles(new) or not compiles(text), f"Python does not compile the result of {text!r}"
    again = to_messages_api(new, _OPTIONS, unsafe=unsafe).text
    assert again == new, f"the second run changes {text!r}"
    return new != text


def _mutated(random_: random.Random, originals: list[str]) -> str:
    text = random_.choice(originals)
    for _ in range(random_.randint(1, 3)):
        start = random_.randrange(len(text))
        end = min(len(text), start + random_.choice((0, 1, 3, 12)))
        lines = text.splitlines(keepends=True)
        index = random_.randrange(len(lines))
        match random_.randrange(6):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + random_.choice(_PIECES) + text[end:]
            case 2:
                text = text[:start] + random_.choice(originals)[start : start + 30] + text[end:]
            case 3:
                text = "".join([*lines[:index], lines[index], *lines[index:]])
            case 4:
                text = "".join(lines[:index] + ["    " + line for line in lines[index:]])
            case _:
                text = "".join(lines[:index] + lines[index + 1 :])
        if not text.strip():
            return "x = 1\n"
    return text
