"""What a server may add to the API for researchers, where its settings allow it.

It is no part of the API as the service had it. The fields are those of OpenAI's legacy
completions, whose clients and evaluation programs know them; so is the form of `logprobs` in an
answer. Everything is added: what is there without them stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Final

from pydantic import Field

from tenuto.core.job import TokenLogprob, Usage
from tenuto.core.refusal import invalid
from tenuto.wire.completions.request import CompletionRequest

MOST_LOGPROBS: Final = 20


class ExtendedRequest(CompletionRequest):
    """A checked request to a server that allows extensions.

    Attributes:
        seed: 0 to 2**64 - 1: the same request gives the same tokens again, as far as the engine
            can. Absent: another choice each time.
        logprobs: How many of the likeliest tokens to tell for each token of the completion, 0 to
            20, besides its own log probability. Absent: none at all.
        echo: Whether the completion begins with the prompt.
    """

    seed: Annotated[int, Field(ge=0, le=2**64 - 1)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    echo: bool = False

    def check_together(self) -> None:
        """Checks what no field's rule can say alone.

        Raises:
            Refusal: Log probabilities are asked for of a prompt.
        """
        if self.echo and self.logprobs is not None:
            raise invalid(
                "logprobs: with `echo` they would be those of the prompt too, which no engine here "
                "gives. Leave one of the two out."
            )


def logprobs_body(tokens: Sequence[TokenLogprob], *, top: bool) -> dict[str, object]:
    """Return the JSON object of some tokens: lists of one length.

    Args:
        tokens: The tokens.
        top: Whether the request asks for the likeliest tokens in each place. If not,
            `top_logprobs` is null; it is null in each place where the engine does not know them.
    """
    return {
        "tokens": [token.token for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [None if token.logprob is None else token.top for token in tokens]
        if top
        else None,
        "text_offset": [token.start for token in tokens],
    }


def usage_body(usage: Usage) -> dict[str, int | float | None]:
    """Return the JSON object of a usage."""
    return asdict(usage)


def usage_headers(usage: Usage) -> dict[str, str]:
    """Return the response headers of a usage, without those of unknown numbers."""
    return {
        f"tenuto-{name.replace('_', '-')}": str(value)
        for name, value in usage_body(usage).items()
        if value is not None
    }


USAGE_HEADERS: Final = tuple(usage_headers(Usage(0, 0, 0, 0.0)))
