"""Entry of a runtime in the table of runtimes: known without importing its library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.ir import IrModel
from tenuto.engine.local.runtime import Runtime, RuntimeOptions

Format: TypeAlias = Literal["gguf", "ir"]

_FORMATS: Final[dict[Format, str]] = {"gguf": "GGUF files", "ir": "folders of OpenVINO's"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeKind:
    """A library that runs models.

    Attributes:
        title: Name in sentences.
        library: Module of the library.
        rank: Order of preference; the lowest installed rank that reads a file runs it.
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
    extensions: tuple[str, ...] = ("seed", "logprobs")
    scores_tokens: bool = True
    separates_tenants: bool = True

    @property
    def installed(self) -> bool:
        """Whether the library can be imported."""
        return find_spec(self.library) is not None

    def refusal(self, file: Gguf) -> str:
        """Return the first feature of a file that the library cannot read; "" if it reads all."""
        found = format_of(file)
        return self.refuses(file) if found in self.formats else _FORMATS[found]


def format_of(file: Gguf) -> Format:
    """Return the format that a model was read from."""
    return "ir" if isinstance(file, IrModel) else "gguf"
