"""Small sums, counting and comparing; the phrasings are in ``arithmetic.toml``."""

from random import Random

from training.corpus.material import load
from training.corpus.templates import expand
from training.corpus.turns import Talk, Turn

TOP = 20
_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]


def number_word(number: int) -> str:
    """Return the English word for a number from 0 to 20."""
    return _NUMBERS[number]


def operands(operation: str, rng: Random) -> tuple[int, int, int]:
    """Draw two numbers and return them with the result; sums and differences are up to 20."""
    if operation == "times":
        first, second = rng.randint(0, 10), rng.randint(0, 10)
        return first, second, first * second
    while True:
        first, second = rng.randint(0, TOP), rng.randint(0, TOP)
        if operation == "plus" and first + second <= TOP:
            return first, second, first + second
        if operation == "minus" and first >= second:
            return first, second, first - second


def _sum(rng: Random, follow: bool) -> Turn:
    ways = load("arithmetic")
    operation = rng.choice(("plus", "plus", "plus", "minus", "minus", "times"))
    first, second, result = operands(operation, rng)
    values = {
        "first": str(first),
        "second": str(second),
        "result": str(result),
        "by": operation,
        "sign": {"plus": "+", "minus": "-", "times": rng.choice("x*")}[operation],
    }
    if not follow and max(first, second, result) <= TOP and rng.random() < 0.08:
        words = {k: number_word(int(values[k])) for k in ("first", "second", "result")}
        form = ways["in_words"]
        values |= words
    elif not follow and rng.random() < 0.15:
        # Small numbers have no story form, because "1 apples" is wrong.
        form = ways["story"][operation] if min(first, second) > 1 else ways["ask"]
    else:
        form = ways["follow"] if follow else ways["ask"]
    return Turn(expand(form["ask"], rng, values), expand(form["answer"], rng, values))


def sums(rng: Random) -> Talk:
    """Return one to four sums, the later ones in short form."""
    count = rng.choice((1, 1, 2, 2, 3, 4))
    return [_sum(rng, follow=i > 0 and rng.random() < 0.7) for i in range(count)]


def _run(numbers: range | list[int], rng: Random) -> str:
    if rng.random() < 0.08 and max(numbers) <= TOP:
        return ", ".join(number_word(n) for n in numbers) + "."
    return ", ".join(str(n) for n in numbers) + "."


def counting(rng: Random) -> Talk:
    """Return a question about counting up or down, or about the neighbours of a number."""
    ways = load("arithmetic")["counting"]
    way = rng.choice(
        ("to", "to", "down", "from", "after", "before", "bigger", "smaller", "between")
    )
    first = rng.randint(1, 30)
    low, high = sorted(rng.sample(range(51), 2))
    top = rng.choice((3, 4, 5, 5, 5, 6, 7, 8, 9, 10, 10, 10, 12, 15, 20))
    start, stop = rng.randint(2, 15), rng.randint(3, 6)
    stop += start
    answers = {
        "to": _run(range(1, top + 1), rng),
        "down": _run(range(min(top, 10), 0, -1), rng),
        "from": _run(range(start, stop + 1), rng),
    }
    values = {
        "top": number_word(top) if rng.random() < 0.5 else str(top),
        "down": number_word(min(top, 10)) if rng.random() < 0.5 else str(min(top, 10)),
        "start": str(start),
        "stop": str(stop),
        "n": str(first),
        "next": str(first + 1),
        "previous": str(first - 1),
        "beyond": str(first + 2),
        "low": str(low),
        "high": str(high),
    }
    question = expand(ways[way]["ask"], rng, values)
    answer = answers.get(way) or expand(ways[way]["answer"], rng, values)
    return [Turn(question, answer[:1].upper() + answer[1:])]
