from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.local.prefixes import Prefixes

BLOCK = 32


def prompt(*parts: tuple[int, int]) -> list[int]:
    """Return runs of tokens, from pairs of token and count."""
    return [token for token, count in parts for _ in range(count)]


def test_jobs_with_a_short_common_prefix_begin_at_once() -> None:
    prefixes = Prefixes(BLOCK)
    assert prefixes.begins(1, prompt((7, 100), (1, 500)))
    assert prefixes.begins(2, prompt((7, 100), (2, 500)))
    assert prefixes.begins(3, prompt((8, 600)))


def test_job_with_a_shared_prefix_waits_until_it_is_computed() -> None:
    prefixes = Prefixes(BLOCK)
    assert prefixes.begins(1, prompt((7, 1000), (1, 10)))
    for key in range(2, 9):
        assert not prefixes.begins(key, prompt((7, 1000), (key, 10)))
    # What they share among themselves is no more than what is computed: all begin.
    assert prefixes.computed(1) == [*range(2, 9)]
    # One that comes while they are computed begins too: the shared part is known.
    assert prefixes.begins(9, prompt((7, 1000), (9, 10)))


def test_jobs_with_a_longer_shared_prefix_wait_again() -> None:
    prefixes = Prefixes(BLOCK)
    assert prefixes.begins(1, prompt((7, 320), (1, 10)))
    for key in (2, 3, 4):
        assert not prefixes.begins(key, prompt((7, 320), (8, 320), (key, 10)))
    assert prefixes.computed(1) == [2]
    assert prefixes.computed(2) == [3, 4]


def test_dropped_prefix_is_computed_by_another_job() -> None:
    prefixes = Prefixes(BLOCK)
    assert prefixes.begins(1, prompt((7, 1000)))
    assert not prefixes.begins(2, prompt((7, 1000)))
    assert not prefixes.begins(3, prompt((7, 1000)))
    assert prefixes.drop(1) == [2]
    assert prefixes.computed(2) == [3]


def test_job_dropped_while_held_does_not_begin() -> None:
    prefixes = Prefixes(BLOCK)
    assert prefixes.begins(1, prompt((7, 1000)))
    assert not prefixes.begins(2, prompt((7, 1000)))
    assert prefixes.drop(2) == []
    assert prefixes.computed(1) == []


prompts = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([BLOCK, 100, 160, 400])), max_size=4
).map(lambda parts: prompt(*parts))


@given(st.lists(prompts, max_size=9), st.randoms(use_true_random=False))
def test_every_job_begins_once_in_any_order_of_ends(
    jobs: list[list[int]], chance: random.Random
) -> None:
    prefixes = Prefixes(BLOCK)
    computing: list[int] = []
    begun: list[int] = []
    for key, tokens in enumerate(jobs):
        if prefixes.begins(key, tokens):
            computing.append(key)
            begun.append(key)
    while computing:
        key = computing.pop(chance.randrange(len(computing)))
        more = chance.choice([prefixes.computed, prefixes.drop])(key)
        computing += more
        begun += more
    assert sorted(begun) == list(range(len(jobs)))
