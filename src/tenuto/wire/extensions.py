"""What a server may add to the API for researchers, where its settings allow it.

It is no part of the API as the service had it. The fields are those of OpenAI's legacy
completions, whose clients and evaluation programs know them; so is the form of `logprobs` in an
answer. Everything is added: what is there without them stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from tenuto.wire.errors import InvalidRequest
from tenuto.wire.request import CompletionRequest

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
            InvalidRequest: Log probabilities are asked for of a prompt.
        """
        if self.echo and self.logprobs is not None:
            raise InvalidRequest(
                "logprobs: with `echo` they would be those of the prompt too, which no engine here "
                "gives. Leave one of the two out."
            )


@dataclass(slots=True)
class Logprobs:
    r"""Tokens of a completion, with their log probabilities: four lists of one length.

    Attributes:
        tokens: The text of each; `bytes:` and `\xNN` for each byte if it is no whole text.
        token_logprobs: The natural logarithm of the probability of each; None if not known.
        top_logprobs: For each place the likeliest tokens and theirs, the one that was written
            among them; None for all if none were asked for.
        text_offset: Where each begins in the whole completion, in characters.
    """

    tokens: list[str] = field(default_factory=list)
    token_logprobs: list[float | None] = field(default_factory=list)
    top_logprobs: list[Mapping[str, float] | None] | None = None
    text_offset: list[int] = field(default_factory=list)

    def body(self) -> dict[str, object]:
        """The JSON object."""
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        }

    def __iadd__(self, other: Logprobs) -> Logprobs:
        """Adds the tokens of the next event."""
        self.tokens += other.tokens
        self.token_logprobs += other.token_logprobs
        self.text_offset += other.text_offset
        if other.top_logprobs is not None:
            self.top_logprobs = (self.top_logprobs or []) + other.top_logprobs
        return self


@dataclass(frozen=True, slots=True)
class Usage:
    """What a completion took. None: the engine does not know.

    Attributes:
        input_tokens: The prompt's length in tokens.
        cached_tokens: How many of them were found in a cache, and not computed again.
        output_tokens: Tokens that were written, those of a stop sequence and those that were cut
            off with it included.
        time_to_first_token_ms: From the moment when the request was handed to the engine until
            its first token was here, waiting included; None without a token.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    time_to_first_token_ms: float | None = None

    def body(self) -> dict[str, int | float | None]:
        """The JSON object."""
        return {
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "time_to_first_token_ms": self.time_to_first_token_ms,
        }

    def headers(self) -> dict[str, str]:
        """The response headers. What is not known has none."""
        return {
            f"tenuto-{name.replace('_', '-')}": str(value)
            for name, value in self.body().items()
            if value is not None
        }

    def __str__(self) -> str:
        """For a log: `input_tokens=22 cached_tokens=unknown …`."""
        pairs = self.body().items()
        return " ".join(f"{name}={'unknown' if v is None else v}" for name, v in pairs)


USAGE_HEADERS: Final = tuple(Usage(0, 0, 0, 0.0).headers())
