"""Interface between the worker and a library that runs models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal, Protocol, TypeAlias

from tenuto.core.extras import install
from tenuto.core.job import EXTENSIONS, Sampling
from tenuto.core.value import value
from tenuto.engine.local.gguf import Format, Gguf

INSTALL: Final = install("local")

Ending: TypeAlias = Literal["end", "length", "broke"]

_FORMATS: Final[dict[Format, str]] = {"gguf": "GGUF files", "ir": "folders of OpenVINO's"}


@value
class RuntimeOptions:
    """Path of the model, and the resources that its runtime may use. See `LocalSettings`."""

    path: str
    max_running: int
    kv_cache_mib: int | None = None
    threads: int | None = None
    context: int | None = None
    batch_tokens: int = 512
    prefix_cache: str = "shared"


@value
class TunedChoice:
    """Result of `tenuto tune` for a model on this machine; without a runtime if not tuned.

    Attributes:
        runtime: Name of the runtime, or "".
        threads: Its number of threads.
        why: The origin in a few words, for the log.
    """

    runtime: str = ""
    threads: int = 0
    why: str = ""


NOT_TUNED: Final = TunedChoice()


@value
class ScoredToken:
    """A token of a prompt or a completion with its log probability.

    Attributes:
        data: Its bytes; those of a control token's name.
        logprob: Before temperature, top_p and top_k; None if the library does not return it.
        top: The likeliest tokens in its place, as many as requested, and the token itself.
        in_text: Whether its bytes are part of the text; not for a generated control token.
    """

    data: bytes
    logprob: float | None
    top: tuple[tuple[bytes, float | None], ...] = ()
    in_text: bool = True


@value
class Delta:
    """Output of one step for one completion.

    Attributes:
        key: The completion.
        data: Its next bytes, which may end inside a character.
        tokens: Number of tokens in `data`.
        ending: Reason of its end; None while it continues.
        scored: Its tokens, if log probabilities are requested.
        cached: Tokens of the prompt found in a cache; None if unknown.
        prompt: The next tokens of the prompt, if their log probabilities are requested; that of the
            first is None.
        sizes: Number of bytes of each token in `data`; may be empty if there is only one.
        ids: The tokens.
    """

    key: int
    data: bytes
    tokens: int
    ending: Ending | None
    scored: tuple[ScoredToken, ...] = ()
    cached: int | None = None
    prompt: tuple[ScoredToken, ...] = ()
    sizes: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()


class Tokenizer(Protocol):
    """Text -> token ids."""

    def encode(self, text: str) -> list[int]:
        """Tokenise a text, with the model's first token (BOS) if it uses one.

        Thread-safe, also beside the other methods; holds Python's lock for moments only.

        Raises:
            TextRefused: This text would end the process.
        """
        ...

    def encode_plain(self, text: str) -> list[int]:
        """Tokenise a text as `encode` does, without BOS and without control tokens.

        A library may return some control tokens all the same.
        """
        ...


class Runtime(Tokenizer, Protocol):
    """A loaded model that generates a batch of completions, a step at a time.

    Attributes:
        context: Maximal tokens of prompt and completion together.
        kv_blocks: Size of the KV cache in blocks.
        kv_bytes: Its size in bytes.
        threads: Number of computing threads.
        block_tokens: Tokens in a block.
        longest_token: Bytes of the longest token.
        most_logprobs: Maximal number of likeliest tokens; 1 if only the token itself is known.
        vocabulary: Number of tokens; ids are below it.
        needs_computed_prefixes: Whether a job finds a cached prefix only if it begins after the
            prefix is computed.
    """

    context: int
    kv_blocks: int
    kv_bytes: int
    threads: int
    block_tokens: int
    longest_token: int
    most_logprobs: int
    vocabulary: int
    needs_computed_prefixes: bool

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
        written: int = 0,
    ) -> None:
        """Add a completion to the batch at the next step.

        The last `written` tokens of the prompt are those of a completion that goes on. They are
        computed as if they had been sampled here, if the library can do that sooner than it samples
        them: then the next tokens are those that would have followed.

        With `sampling.prompt_logprobs`, all tokens of the prompt are returned in `Delta.prompt`,
        before the first token of the completion; `max_tokens` may be 0 then.

        With a prefix cache for each key, it reuses prefixes of the same tenant only.
        """
        ...

    def spell(self, token: int) -> bytes:
        """Return the bytes of a token of the vocabulary; none for control tokens."""
        ...

    def cancel(self, key: int) -> None:
        """Cancel a completion; the next step frees its resources, or a later one: see `holds`."""
        ...

    def holds(self, key: int) -> bool:
        """Return whether a cancelled completion still has its resources, after a step."""
        return False

    def progress(self) -> dict[str, int]:
        """Return a number for each piece of work in flight, which changes with its progress.

        Work that waits must be left out: an unchanged number is taken for a hang after a while.
        """
        ...

    def step(self) -> list[Delta]:
        """Generate the next tokens of all completions, and remove those that ended."""
        ...


def context_of(trained: int, wanted: int | None) -> int:
    """Return the context of a model: as in the settings, or as trained.

    Raises:
        CannotLoad: The settings exceed the trained context.
    """
    if wanted is not None and wanted > trained:
        raise CannotLoad(f"context is {wanted}, and the model was trained with {trained} tokens")
    return wanted or trained


class TextRefused(Exception):
    """A text on which the library would fail. The message is for the caller."""


class CannotLoad(Exception):
    """A runtime is missing, or refuses the model. The message is one line."""


def not_installed(library: str) -> CannotLoad:
    """Return the error for a library that cannot be imported."""
    return CannotLoad(f"the embedded engine is not installed ({library} is missing); {INSTALL}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeKind:
    """A library that runs models.

    Attributes:
        title: Name in sentences.
        library: Module of the library.
        rank: Order in which runtimes replace the preferred one, which `preference` names.
        formats: Formats of models that the library reads.
        refuses: Returns the first feature of such a file that the library cannot read, or "".
        load: Loads a model. Imports the library.
        extensions: Which of `EXTENSIONS` have an effect.
        scores_tokens: Whether log probabilities of tokens that were not generated are available.
        separates_tenants: Whether the prefix cache can be kept apart for each API key.
    """

    title: str
    library: str
    rank: int
    formats: frozenset[Format]
    load: Callable[[RuntimeOptions, Gguf], Runtime]
    refuses: Callable[[Gguf], str] = lambda _: ""
    extensions: tuple[str, ...] = EXTENSIONS
    scores_tokens: bool = True
    separates_tenants: bool = True

    @property
    def installed(self) -> bool:
        """Whether the library can be imported."""
        return find_spec(self.library) is not None

    def refusal(self, file: Gguf) -> str:
        """Return the first feature of a file that the library cannot read; "" if it reads all."""
        return self.refuses(file) if file.format in self.formats else _FORMATS[file.format]
