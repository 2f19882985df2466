"""Facts: tables, and phrasings of questions about a row (``facts.toml`` and others)."""

from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

from training.corpus.material import load
from training.corpus.templates import expand
from training.corpus.turns import Talk, Turn

_FILES = ("facts", "animals", "questions")


class Form(NamedTuple):
    """One phrasing for a table: templates over its columns; `follow` and `plain` may be empty."""

    table: str
    rows: list[dict[str, str]]
    ask: str
    answer: str
    follow: str
    plain: str
    weight: float


@cache
def forms() -> list[Form]:
    """Return all forms of all tables; single facts are tables of one row without columns."""
    found = []
    for file in _FILES:
        content = load(file)
        for table in content.get("table", []):
            rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
            for form in table["form"]:
                have = [row for row in rows if all(row[c] for c in form.get("needs", []))]
                found.append(
                    Form(
                        table["name"],
                        have,
                        form["ask"],
                        form["answer"],
                        form.get("follow", ""),
                        form.get("plain", ""),
                        form.get("weight", 1.0) * len(have),
                    )
                )
        found.extend(
            Form("fact", [{}], fact["ask"], fact["answer"], "", "", fact.get("weight", 1.3))
            for fact in content.get("fact", [])
        )
    return found


@cache
def _weights() -> list[float]:
    # Weighted by the number of rows, so every fact is equally frequent.
    return list(accumulate(form.weight for form in forms()))


def ask(form: Form, row: dict[str, str], rng: Random, follow: bool = False) -> Turn:
    """Return the question of `form` about `row` and its answer; `follow` is the short form."""
    question = form.follow if follow and form.follow else form.ask
    return Turn(expand(question, rng, row), expand(form.answer, rng, row))


def fact(rng: Random) -> Talk:
    """Return one to three facts from one table."""
    form = rng.choices(forms(), cum_weights=_weights())[0]
    count = min(len(form.rows), rng.choice((1, 1, 1, 2, 2, 3)) if form.follow else 1)
    rows = rng.sample(form.rows, count)
    return [ask(form, row, rng, follow=i > 0 and rng.random() < 0.7) for i, row in enumerate(rows)]


def facts(rng: Random) -> Talk:
    """Return two or three unrelated talks of facts as one, at most five turns."""
    return [turn for _ in range(rng.choice((2, 2, 3))) for turn in fact(rng)][:5]


@cache
def _plain() -> tuple[list[Form], list[float]]:
    plain = [form for form in forms() if form.plain]
    return plain, list(accumulate(form.weight for form in plain))


def plain(rng: Random) -> str:
    """Return facts as running text, for prompts without turns."""
    found, weights = _plain()
    form = rng.choices(found, cum_weights=weights)[0]
    rows = rng.sample(form.rows, min(len(form.rows), rng.randint(1, 5)))
    return " ".join(expand(form.plain, rng, row) for row in rows)


def every() -> Iterator[tuple[Form, dict[str, str]]]:
    """Yield every form with each of its rows."""
    for form in forms():
        for row in form.rows:
            yield form, row
