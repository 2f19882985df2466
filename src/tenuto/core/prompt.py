"""A valid prompt and its parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tenuto.core.long_text import Text
from tenuto.core.value import value

HUMAN: Final = "\n\nHuman:"
ASSISTANT: Final = "\n\nAssistant:"


@value
class Turn:
    """The text of one side.

    Attributes:
        human: Whether the side is Human.
        text: As written after the colon, with its leading space.
    """

    human: bool
    text: str


@value
class Prompt:
    r"""A valid prompt.

    Attributes:
        text: The whole prompt, sanitised: the input of a model that completes text.
        system: The text before the first Human turn, or "".
        turns: The turns in order, except the last Assistant turn, which is being written.
        prefill: The beginning of the answer, after the last `\n\nAssistant:`, or "".
    """

    text: str
    system: str = ""
    turns: tuple[Turn, ...] = ()
    prefill: str = ""

    @property
    def size(self) -> int:
        """The length of the text in bytes of UTF-8."""
        return len(self.text.encode())

    @property
    def has_turns(self) -> bool:
        """Whether the prompt is a conversation; False for a raw prompt."""
        return bool(self.turns)

    def spoken_size(self) -> int:
        """Return the bytes of all turns, without marks and surrounding white space."""
        texts = (self.system, *(turn.text for turn in self.turns), self.prefill)
        return sum(len(text.strip().encode()) for text in texts) if self.turns else self.size

    def whole(self) -> Text:
        """Return the text; a long one is not copied."""
        return self.text

    def pieces(self) -> Iterator[str]:
        """Yield the text in pieces, each short enough for one step of the event loop."""
        yield self.text

    def question(self) -> Iterator[str]:
        """Yield the last Human turn in pieces, or the text of a raw prompt."""
        questions = [turn.text for turn in self.turns if turn.human]
        yield questions[-1] if questions else self.text
