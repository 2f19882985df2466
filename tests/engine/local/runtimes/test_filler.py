"""Sizes of OpenVINO's steps with a filler, by the library's rule for the content of a step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tenuto.engine.local.runtimes.openvino.filler import Filler

JOBS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 900), st.integers(1, 5)), min_size=1)


@given(jobs=JOBS, batch_tokens=st.sampled_from([32, 33, 100, 512]))
def test_prefill_step_is_full_or_a_multiple_of_32(
    jobs: list[tuple[int, int, int]], batch_tokens: int
) -> None:
    """Jobs have a step in which they begin, a length of their prompt and of their answer."""
    filler = Filler(batch_tokens)
    unread: dict[int, int] = {}
    unwritten: dict[int, int] = {}
    step = 0
    while step < 7 or unwritten:
        for key, (begins, prompt, answer) in enumerate(jobs):
            if begins == step:
                unread[key], unwritten[key] = prompt, answer
                filler.begin(key, [7] * prompt)
        writing = [key for key in unwritten if key not in unread]
        reads = bool(unread)
        filled = filler.next_step(unwritten)
        room = max(0, batch_tokens - len(writing))
        tokens = len(writing)
        for key, left in list(unread.items()):
            read = min(left, room)
            room, tokens = room - read, tokens + read
            unread[key] -= read
            if not unread[key]:
                del unread[key]
                writing.append(key)
        for key in writing:
            unwritten[key] -= 1
            if not unwritten[key]:
                del unwritten[key]
        if reads and tokens < batch_tokens:
            assert filled
            assert set(filled) == {7}
            total = tokens + len(filled)
            assert total == batch_tokens or (total % 32 == 0 and total < batch_tokens)
        else:
            assert filled == []
        step += 1


def test_cancelled_prompt_is_not_counted() -> None:
    filler = Filler(512)
    filler.begin(0, [1] * 700)
    filler.begin(1, [1] * 30)
    assert filler.next_step([0, 1]) == []
    assert filler.next_step([1]) == [1, 1]
    assert filler.next_step([1]) == []
