"""What the worker needs of a library that runs models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from tenuto.core.extras import install
from tenuto.core.job import Sampling

# Metadata that ends OpenVINO's process if it names no token of the vocabulary.
UNKNOWN_ID: Final = "tokenizer.ggml.unknown_token_id"

INSTALL: Final = install("local")

Ending: TypeAlias = Literal["end", "length", "broke"]


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """The model that a runtime loads, and the resources that it may use. See `LocalSettings`."""

    path: str
    max_running: int
    kv_cache_mib: int | None = None
    threads: int | None = None
    context: int | None = None
    batch_tokens: int = 512
    prefix_cache: str = "shared"


@dataclass(frozen=True, slots=True)
class ScoredToken:
    """A token that was written, with its log probability.

    Attributes:
        data: Its bytes, at least one.
        logprob: Before temperature, top_p and top_k; None where the library keeps it.
        top: The likeliest tokens in its place, as many as were asked for and itself.
    """

    data: bytes
    logprob: float | None
    top: tuple[tuple[bytes, float | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step wrote for one completion.

    Attributes:
        key: The completion.
        data: Its next bytes, which may end inside a character.
        tokens: How many tokens they are.
        ending: Why it ended, None while it goes on.
        scored: If log probabilities were asked for, the tokens whose bytes `data` is. A token
            without bytes, as the one that ends a turn, is none of them.
        cached: How many tokens of the prompt were found in a cache; None if that is not known.
    """

    key: int
    data: bytes
    tokens: int
    ending: Ending | None
    scored: tuple[ScoredToken, ...] = ()
    cached: int | None = None


class Runtime(Protocol):
    """A loaded model that writes many completions at once, a step at a time.

    Attributes:
        context: Most tokens of prompt and completion together.
        kv_blocks: Size of the KV cache, in blocks.
        kv_bytes: Its size in bytes.
        threads: How many threads compute.
        block_tokens: Tokens that a block holds.
        longest_token: Bytes of the longest token.
        most_logprobs: How many of the likeliest tokens it can tell besides the one it wrote.
        shares_prefixes: Whether a job that begins finds in the cache what prompts of running jobs
            have in common with its own.
    """

    context: int
    kv_blocks: int
    kv_bytes: int
    threads: int
    block_tokens: int
    longest_token: int
    most_logprobs: int
    shares_prefixes: bool

    def encode(self, text: str) -> list[int]:
        """Text -> token ids, the one that begins a text included if the model wants it.

        It may be called in one thread while another calls any of these, `encode` included, and
        it keeps Python's lock for moments only.

        Raises:
            TextRefused: This text would end the process.
        """
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Text -> token ids, none that begins a text, and none for what spells a control token.

        A library may give some of the latter all the same. It may be called as `encode` may, and
        raises the same.
        """
        ...

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
    ) -> None:
        """Lets a completion join the batch at the next step.

        With a prefix cache that is kept apart for each key, it finds there what completions of the
        same tenant left, and of no other.
        """
        ...

    def cancel(self, key: int) -> None:
        """Drops a completion; the next step frees what it holds."""
        ...

    def progress(self) -> dict[str, int]:
        """What the library has under way: a number for each, which changes when it gets on.

        Whatever does not get on for long hangs, so nothing may be listed that has to wait.
        """
        ...

    def step(self) -> list[Delta]:
        """Writes the next tokens of all completions. Those that ended are gone after it."""
        ...


def context_of(trained: int, wanted: int | None) -> int:
    """The context that a model gets: what the settings want, or what it was trained with.

    Raises:
        CannotLoad: They want more than it was trained with.
    """
    if wanted is not None and wanted > trained:
        raise CannotLoad(f"context is {wanted}, and the model was trained with {trained} tokens")
    return wanted or trained


class TextRefused(Exception):
    """The library would break down on this text. The message is for the caller."""


class CannotLoad(Exception):
    """The runtime is missing, or refuses the model. The message is one line."""


def not_installed(*libraries: str) -> CannotLoad:
    """Return the error for libraries that cannot be imported. There must be at least one."""
    verb = "are" if len(libraries) > 1 else "is"
    return CannotLoad(
        f"the embedded engine is not installed ({' and '.join(libraries)} {verb} missing); "
        f"{INSTALL}"
    )
