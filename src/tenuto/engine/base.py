"""The protocol of engines: a job in, pieces of text out.

An engine knows nothing of HTTP, of matching stop sequences, or of API versions. It raises a
`Refusal` for a job that it does not take or cannot finish.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tenuto.core.job import Job, Piece


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Capabilities of an engine. Fixed once it has loaded.

    Attributes:
        model: The name of the only model that answers, or None.
        models: The names that it answers to, where it does not answer to all.
        context: Most tokens of prompt and completion together, 0 while unknown.
        longest_prompt: Bytes that no prompt that fits the context exceeds, 0 while unknown.
        kv_blocks: Size of the KV cache in blocks.
        extensions: Which of `seed` and `logprobs` have an effect.
    """

    model: str | None = None
    models: tuple[str, ...] = ()
    context: int = 0
    longest_prompt: int = 0
    kv_blocks: int = 0
    extensions: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The models that answer: the only one, or those in `models`."""
        return (self.model,) if self.model is not None else self.models


@dataclass(frozen=True, slots=True)
class Health:
    """The state of an engine at one moment.

    Attributes:
        ready: Whether it answers without loading first.
        detail: One sentence for people.
        running: Jobs being written.
        waiting: Accepted jobs that wait for their place.
        kv_blocks_reserved: KV blocks that the running jobs may come to need.
        restarts: How often the engine broke and started again.
        upstreams: The state of each upstream, by name.
    """

    ready: bool
    detail: str
    running: int = 0
    waiting: int = 0
    kv_blocks_reserved: int = 0
    restarts: int = 0
    upstreams: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Writes completions. Made by `registry.create`; its methods share one event loop."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities that are known so far."""
        ...

    def health(self) -> Health:
        """Return its state, without waiting for anything."""
        ...

    async def start(self) -> None:
        """Begin to load, and return at once."""
        ...

    async def ready(self) -> str:
        """Wait until the model is loaded.

        Returns:
            The model's name, as it stands in answers.

        Raises:
            ModelError: It cannot be loaded.
        """
        ...

    def generate(self, job: Job) -> AsyncGenerator[Piece, None]:
        """Write a completion. Closing the generator cancels the job and frees its slot.

        Yields:
            First an empty piece, when the job is accepted; then the text as it comes; the last
            piece carries `finish`.

        Raises:
            Refusal: The job was refused (before the first piece) or the engine broke.
        """
        ...

    async def aclose(self) -> None:
        """End the engine and everything that it started. Running jobs raise a `Refusal`."""
        ...
