"""The laws of stop matching, against the five-line reference and against brute force."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenuto.core.prompt import HUMAN
from tenuto.stream.stops import StopMatcher

# Few characters, so that stop sequences overlap, nest and nearly match all the time.
alphabets = st.sampled_from(["ab", "ab\n", "a", "\n\nHuman:", "]^-\\&~|[.é😀"])
stop_lists = alphabets.flatmap(
    lambda alphabet: st.tuples(
        st.lists(st.text(alphabet, max_size=8), max_size=8),
        st.lists(st.text(alphabet, min_size=1, max_size=5), max_size=5),
    )
)


def cut(text: str, stops: Iterable[str]) -> tuple[str, str | None]:
    """The reference: what is left of a whole text, and the stop sequence that ended it."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop in text]
    if not found:
        return text, None
    at, _, stop = min(found)
    return text[:at], stop


def futures(text: str, stops: Sequence[str]) -> list[tuple[str, str | None]]:
    """Possible matches of stop sequences in a text that continues.

    A continuation matters only if it completes a stop sequence that the text has begun: one
    outcome for each rest of each stop sequence, and one for a text that ends here.
    """
    rests = {stop[at:] for stop in stops for at in range(1, len(stop) + 1)}
    return [cut(text, stops), *(cut(text + rest, stops) for rest in sorted(rests))]


def feed(pieces: Iterable[str], stops: Iterable[str]) -> tuple[str, str | None]:
    matcher = StopMatcher(stops)
    text = "".join([matcher.push(piece) for piece in pieces])
    return text + matcher.flush(), matcher.stop


@settings(max_examples=200)
@given(stop_lists)
@example((["aabc", "d"], ["abcd", "bc"]))
@example((["aabc", "x"], ["abcd", "bc"]))
@example((["aba", "b", "ac"], ["ababc", "bab", "ba"]))
def test_text_and_stop_match_the_reference_for_any_pieces(
    case: tuple[list[str], list[str]],
) -> None:
    pieces, stops = case

    assert feed(pieces, stops) == cut("".join(pieces), stops)


@settings(max_examples=150)
@given(stop_lists)
def test_no_character_of_the_match_is_emitted(case: tuple[list[str], list[str]]) -> None:
    pieces, stops = case
    before, _ = cut("".join(pieces), stops)
    matcher = StopMatcher(stops)

    left = ""
    for piece in pieces:
        left += matcher.push(piece)
        assert before.startswith(left)


@settings(max_examples=200)
@given(stop_lists)
@example((["a\n", "\nHum", "a"], ["\n\nHuman:"]))
@example((["aab", "c"], ["abcd", "bc"]))
@example((["ab", "c", "c"], ["abcd", "bc", "cccc"]))
def test_character_is_emitted_once_no_continuation_can_match_it(
    case: tuple[list[str], list[str]],
) -> None:
    pieces, stops = case
    matcher = StopMatcher(stops)

    so_far, left = "", ""
    for piece in pieces:
        so_far += piece
        left += matcher.push(piece)
        outcomes = futures(so_far, stops)
        assert left == min((text for text, _ in outcomes), key=len)
        if matcher.stop is not None:
            break


@settings(max_examples=200)
@given(stop_lists)
@example((["ab"], ["ab", "abb"]))
@example((["aab", "c"], ["abcd", "bc"]))
def test_stop_is_reported_once_every_continuation_has_it(
    case: tuple[list[str], list[str]],
) -> None:
    pieces, stops = case
    matcher = StopMatcher(stops)

    so_far = ""
    for piece in pieces:
        so_far += piece
        matcher.push(piece)
        outcomes = set(futures(so_far, stops))
        decided = outcomes.pop() if len(outcomes) == 1 else ("", None)
        assert matcher.stop == decided[1]
        if matcher.stop is not None:
            break


@settings(max_examples=200)
@given(stop_lists)
def test_order_and_repetition_of_stops_are_irrelevant(
    case: tuple[list[str], list[str]],
) -> None:
    pieces, stops = case
    backwards = stops[::-1]

    assert feed(pieces, stops) == feed(pieces, backwards) == feed(pieces, [*stops, *backwards])


@given(stop_lists, st.text("ab\n", min_size=1))
def test_nothing_is_emitted_after_a_match(case: tuple[list[str], list[str]], more: str) -> None:
    pieces, stops = case
    matcher = StopMatcher([*stops, "END"])
    for piece in [*pieces, "END"]:
        matcher.push(piece)
    matcher.flush()
    stop = matcher.stop

    assert stop is not None
    assert matcher.push(more) == ""
    assert matcher.flush() == ""
    assert matcher.stop == stop


@pytest.mark.parametrize("at", range(1, len(HUMAN)))
def test_next_turn_ends_the_text_for_any_split(at: int) -> None:
    matcher = StopMatcher([HUMAN])

    assert matcher.push(" Seven." + HUMAN[:at]) == " Seven."
    assert matcher.stop is None
    assert matcher.push(HUMAN[at:] + " And") == ""
    assert matcher.stop == HUMAN


def test_next_turn_ends_the_text_character_by_character() -> None:
    matcher = StopMatcher([HUMAN])

    assert [matcher.push(character) for character in "Hi" + HUMAN] == ["H", "i", *[""] * 8]
    assert matcher.stop == HUMAN


def test_partial_match_is_emitted_whole() -> None:
    matcher = StopMatcher([HUMAN])

    assert matcher.push("One\n\nHum") == "One"
    assert matcher.push("ming birds") == "\n\nHumming birds"
    assert matcher.stop is None


def test_extra_newline_does_not_hide_the_next_turn() -> None:
    matcher = StopMatcher([HUMAN])

    assert matcher.push("One\n\n\n") == "One\n"
    assert matcher.push("Human:") == ""
    assert matcher.stop == HUMAN


def test_longest_of_stops_at_one_offset_wins() -> None:
    matcher = StopMatcher(["</a", "</answer>", "</answ"])

    assert matcher.push("7</a") == "7"
    assert matcher.stop is None
    assert matcher.push("nswer>") == ""
    assert matcher.stop == "</answer>"


def test_shorter_stop_wins_once_the_longer_one_is_impossible() -> None:
    matcher = StopMatcher(["</a", "</answer>"])

    assert matcher.push("7</a") == "7"
    assert matcher.push("b") == ""
    assert matcher.stop == "</a"


def test_stop_waits_for_a_longer_one_that_began_earlier() -> None:
    matcher = StopMatcher(["bc", "abcd"])

    assert matcher.push("xabc") == "x"
    assert matcher.stop is None
    assert matcher.push("d") == ""
    assert matcher.stop == "abcd"


def test_stop_within_a_failed_longer_match_ends_the_text() -> None:
    matcher = StopMatcher(["bc", "abcd"])

    assert matcher.push("xabc") == "x"
    assert matcher.push("e") == "a"
    assert matcher.stop == "bc"


def test_pending_stop_matches_when_the_text_ends() -> None:
    matcher = StopMatcher(["bc", "abcd"])
    matcher.push("xabc")

    assert matcher.flush() == "a"
    assert matcher.stop == "bc"


def test_held_back_text_is_emitted_when_the_text_ends() -> None:
    matcher = StopMatcher([HUMAN])

    assert matcher.push("One\n\nHuman") == "One"
    assert matcher.flush() == "\n\nHuman"
    assert matcher.flush() == ""
    assert matcher.stop is None


def test_text_without_stops_is_emitted_at_once() -> None:
    matcher = StopMatcher([])

    assert matcher.push(HUMAN) == HUMAN
    assert matcher.stop is None


def test_white_space_stop_matches() -> None:
    assert feed(["one", " ", "two"], [" "]) == ("one", " ")


@pytest.mark.parametrize("stops", [[""], ["a", ""]])
def test_empty_stop_is_rejected(stops: list[str]) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        StopMatcher(stops)


def test_matchers_of_the_same_stops_are_independent() -> None:
    first, second = StopMatcher(["ab"]), StopMatcher(["ab"])

    assert first.push("a") == ""
    assert second.push("b") == "b"
    assert first.push("b") == ""
    assert (first.stop, second.stop) == ("ab", None)


# Prefixes, suffixes and repetitions of each other, as long as the default limits allow.
LARGE_SETS: dict[str, list[str]] = {
    "long": [chr(97 + n) + "abcdefgh" * 500 + str(n) for n in range(16)],
    "many": [f"{n:04}" + "x" * 60 for n in range(1024)],
    "nested": ["a" * n + "b" for n in range(1, 360)],
    "repeated": ["a" * 4095 + "b"],
}


@pytest.mark.parametrize("stops", LARGE_SETS.values(), ids=LARGE_SETS)
def test_memory_of_a_matcher_depends_on_the_text_only(
    stops: list[str],
) -> None:
    StopMatcher(["warm"]).push("up")
    tracemalloc.start()
    try:
        matchers = [StopMatcher(stops) for _ in range(8)]
        for matcher in matchers:
            matcher.push("The quick brown fox jumps over the lazy dog. " * 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * 2**20


@pytest.mark.parametrize("stops", LARGE_SETS.values(), ids=LARGE_SETS)
def test_deleted_matcher_frees_its_memory(stops: list[str]) -> None:
    def match(*numbers: int) -> None:
        for number in numbers:
            # The sets differ, because a cache could hold an equal one.
            matcher = StopMatcher([f"{stop}{number}" for stop in stops])
            for stop in stops:
                matcher.push(stop[:-1])

    match(0)
    gc.collect()
    tracemalloc.start()
    try:
        match(1, 2)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100_000


@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (LARGE_SETS["nested"], ("a" * 359 + "c") * 50),
        (LARGE_SETS["repeated"], "a" * 20_000),
        (LARGE_SETS["long"], "".join(stop[:-1] + "!" for stop in LARGE_SETS["long"])),
    ],
    ids=["nested", "repeated", "long"],
)
@pytest.mark.parametrize("size", [1, 4096])
def test_large_sets_match_like_the_reference(stops: list[str], text: str, size: int) -> None:
    text += stops[-1] + " and more"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert feed(pieces, stops) == cut(text, stops)
