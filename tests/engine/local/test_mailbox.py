"""The queue of the pieces of one job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.job import Finish, Piece, TokenLogprob, Usage
from tenuto.core.refusal import Kind, failed, too_long
from tenuto.engine.local.mailbox import Mailbox
from tests.refusals import refused

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def get(mailbox: Mailbox) -> Piece:
    """The next piece, which must be there: a test that waits for one in vain fails at once."""
    reader = asyncio.ensure_future(mailbox.get())
    await settle()
    if not reader.done():
        reader.cancel()
        raise AssertionError("there is no piece")
    return reader.result()


async def test_first_piece_reports_the_acceptance() -> None:
    mailbox = Mailbox()
    mailbox.accept()

    assert await get(mailbox) == Piece("")


async def test_text_since_the_last_read_is_coalesced() -> None:
    mailbox = Mailbox()
    mailbox.put(" One", 1, None)
    mailbox.put(",", 1, None)
    mailbox.put(" two", 2, None)

    assert await get(mailbox) == Piece(" One, two", 4)


async def test_acceptance_precedes_text_already_written() -> None:
    mailbox = Mailbox()
    mailbox.accept()
    mailbox.put(" One", 1, Finish.LENGTH)

    accepted, last = await get(mailbox), await get(mailbox)

    assert (accepted, accepted.usage) == (Piece(""), Usage(output_tokens=0))
    assert (last, last.usage) == (Piece(" One", 1, Finish.LENGTH), Usage(output_tokens=1))


async def test_last_piece_has_the_reason_and_the_pending_text() -> None:
    mailbox = Mailbox()
    mailbox.put(" One", 1, None)
    mailbox.put("", 1, Finish.END)

    assert await get(mailbox) == Piece(" One", 2, Finish.END)


async def test_last_piece_without_text_is_returned() -> None:
    mailbox = Mailbox()
    mailbox.put("", 0, Finish.END)

    assert await get(mailbox) == Piece("", 0, Finish.END)


async def test_error_follows_the_text_before_it() -> None:
    mailbox = Mailbox()
    mailbox.accept()
    mailbox.put(" One", 1, None)
    mailbox.fail(failed("It broke."))

    assert await get(mailbox) == Piece("")
    assert await get(mailbox) == Piece(" One", 1)
    with refused(Kind.FAILED, match=r"^It broke\.$"):
        await get(mailbox)


async def test_refusal_is_raised_without_a_piece() -> None:
    mailbox = Mailbox()
    mailbox.fail(too_long(3000, 2047))

    with refused(Kind.TOO_LONG):
        await get(mailbox)


async def test_first_of_several_errors_is_raised() -> None:
    mailbox = Mailbox()
    mailbox.fail(too_long(3000, 2047))
    mailbox.fail(failed("The engine is shutting down."))

    with refused(Kind.TOO_LONG):
        await get(mailbox)


async def test_error_is_not_delayed_by_a_partial_character() -> None:
    mailbox = Mailbox()
    mailbox.put("", 1, None)
    mailbox.fail(failed("It broke."))

    with refused(Kind.FAILED):
        await get(mailbox)


async def test_partial_character_counts_its_token_without_waking_the_reader() -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.get())
    await settle()

    mailbox.put("", 1, None)
    await settle()
    assert not reader.done()

    mailbox.put("é", 1, None)
    assert await reader == Piece("é", 2)


@pytest.mark.parametrize(
    ("write", "piece"),
    [
        (lambda mailbox: mailbox.accept(), Piece("")),
        (lambda mailbox: mailbox.put(" One", 1, None), Piece(" One", 1)),
        (lambda mailbox: mailbox.put("", 0, Finish.END), Piece("", 0, Finish.END)),
    ],
    ids=["accepted", "text", "end"],
)
async def test_waiting_reader_is_woken(write: Callable[[Mailbox], None], piece: Piece) -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.get())
    await settle()
    assert not reader.done()

    write(mailbox)

    assert await reader == piece


async def test_waiting_reader_is_woken_by_an_error() -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.get())
    await settle()

    mailbox.fail(failed("It broke."))

    with refused(Kind.FAILED):
        await reader


async def test_two_pieces_written_at_once_wake_the_reader_once() -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.get())
    await settle()

    mailbox.put(" One", 1, None)
    mailbox.put(" two", 1, Finish.LENGTH)

    assert await reader == Piece(" One two", 2, Finish.LENGTH)


async def test_cancelled_reader_loses_no_text() -> None:
    mailbox = Mailbox()
    reader = asyncio.create_task(mailbox.get())
    await settle()
    reader.cancel()
    await settle()
    assert reader.cancelled()

    mailbox.put(" One", 1, None)

    assert await get(mailbox) == Piece(" One", 1)


async def read_to_the_end(mailbox: Mailbox, steps: list[Callable[[], None]]) -> list[Piece]:
    """Read while the steps are taken, with a reader of random speed."""

    async def write() -> None:
        for step in steps:
            step()
            await asyncio.sleep(0)

    async def read() -> list[Piece]:
        pieces = [await mailbox.get()]
        while pieces[-1].finish is None:
            pieces.append(await mailbox.get())
        return pieces

    pieces, _ = await asyncio.gather(read(), write())
    return pieces


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 3), st.integers(0, 2))))
def test_all_text_and_tokens_are_read_at_any_pace(
    written: list[tuple[str, int, int]],
) -> None:
    mailbox = Mailbox()
    steps: list[Callable[[], None]] = [mailbox.accept]
    for text, tokens, pause in written:
        steps += [partial(mailbox.put, text, tokens, None)]
        steps += [lambda: None] * pause
    steps += [partial(mailbox.put, "", 0, Finish.END)]

    pieces = asyncio.run(read_to_the_end(mailbox, steps))

    assert pieces[0] == Piece("")
    assert "".join(piece.text for piece in pieces) == "".join(text for text, _, _ in written)
    assert sum(piece.tokens for piece in pieces) == sum(tokens for _, tokens, _ in written)
    assert all(piece.text for piece in pieces[1:-1])
    assert pieces[-1].finish is Finish.END


async def test_logprobs_are_sent_once_with_the_next_piece() -> None:
    mailbox = Mailbox()
    one, two = TokenLogprob(" One", 0, 4, -0.5), TokenLogprob(",", 4, 5, -0.25)
    mailbox.score([one])
    mailbox.put(" One", 1, None)
    mailbox.score([two])
    mailbox.put(",", 1, None)

    assert (await get(mailbox)).logprobs == (one, two)

    mailbox.put(" two", 1, None)

    assert (await get(mailbox)).logprobs == ()


async def test_every_piece_has_the_usage_so_far() -> None:
    mailbox = Mailbox()
    mailbox.accept(22)
    assert (await get(mailbox)).usage == Usage(22, None, 0)
    mailbox.count_cached(21)
    mailbox.put(" One", 1, None)
    assert (await get(mailbox)).usage == Usage(22, 21, 1)
    mailbox.put("", 1, None)
    mailbox.put(" two", 1, None)
    assert (await get(mailbox)).usage == Usage(22, 21, 3)
