"""Where the pieces of one job wait for their reader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from tenuto.core.job import Finish, Piece, TokenLogprob, Usage
from tenuto.core.refusal import Refusal


class Mailbox:
    """One writer, one reader, one event loop.

    A reader that is slower than the model finds all that was written since in a single piece:
    the more load there is, the fewer pieces, and nothing ever piles up but text.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._tokens = 0
        self._finish: Finish | None = None
        self._error: Refusal | None = None
        self._accepted = False
        self._logprobs: list[TokenLogprob] = []
        self._input_tokens: int | None = None
        self._cached_tokens: int | None = None
        self._output_tokens = 0
        self._reader: asyncio.Future[None] | None = None

    def accept(self, input_tokens: int | None = None) -> None:
        """The engine took the job, whose prompt has so many tokens, if that is known."""
        self._accepted = True
        self._input_tokens = input_tokens
        self._wake()

    def count_cached(self, tokens: int) -> None:
        """So many tokens of the prompt were found in a cache."""
        self._cached_tokens = tokens

    def score(self, tokens: Iterable[TokenLogprob]) -> None:
        """Adds log probabilities, which leave with the next piece."""
        self._logprobs += tokens

    def put(self, text: str, tokens: int, finish: Finish | None) -> None:
        """Adds what a step wrote."""
        self._texts.append(text)
        self._tokens += tokens
        self._output_tokens += tokens
        self._finish = finish
        # Half a character is nothing to wake up for.
        if text or finish is not None:
            self._wake()

    def fail(self, error: Refusal) -> None:
        """Ends the job with an error, which the reader sees after the text before it.

        The first error counts: later ones are its consequences.
        """
        self._error = self._error or error
        self._wake()

    async def get(self) -> Piece:
        """The next piece: an empty one first, when the job is accepted.

        Raises:
            Refusal: The job failed, and all its text has been read.
        """
        while True:
            if self._accepted:
                self._accepted = False
                return Piece("", usage=self._usage())
            if self._texts and (self._finish is not None or any(self._texts)):
                piece = Piece(
                    "".join(self._texts),
                    self._tokens,
                    self._finish,
                    logprobs=tuple(self._logprobs),
                    usage=self._usage(),
                )
                self._texts.clear()
                self._logprobs.clear()
                self._tokens = 0
                return piece
            if self._error is not None:
                raise self._error
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader

    def _usage(self) -> Usage:
        return Usage(self._input_tokens, self._cached_tokens, self._output_tokens)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
