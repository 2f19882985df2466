"""A prompt as a chat, for models that chat: what to do with the beginning of an answer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Literal

from tenuto.core.job import Job
from tenuto.core.long_text import Rope, Text
from tenuto.core.refusal import invalid
from tenuto.prompt.long_render import chat_steps
from tenuto.prompt.render import Chat, Continuation

Prefill = Literal["instruct", "refuse", "drop"]
"""What to do with a prefill where the model takes none: give it as an instruction, refuse the
request, or leave it out."""

_BEGIN_WITH: Final = (
    "Your answer must begin with exactly the text between the two lines below, and then go on from "
    "there without repeating it.\n<beginning>\n"
)
_END_OF_PREFILL: Final = "\n</beginning>"

# A longer prefill is not searched for each of a thousand stop sequences.
_SEARCHED_CHARS: Final = 4096


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt as a chat, and what had to be done to it.

    Attributes:
        system: The system text, or "".
        messages: As both chat APIs have them. With a prefill that is sent, the last one is the
            assistant's.
        prefilled: Whether it is.
        repeated: The prefill if the answer is to begin with it, because it was given as an
            instruction; else "".
        continuation: Makes a completion of the answer.
        warnings: What was changed or left out, for the caller.
    """

    system: Text
    messages: list[dict[str, Text]]
    prefilled: bool
    repeated: Text
    continuation: Continuation
    warnings: tuple[str, ...]


def as_chat(job: Job, *, takes_prefill: bool, prefill: Prefill) -> Generator[None, None, Question]:
    """Make a chat of a job. Yields between two pieces of work, returns the chat.

    Args:
        job: The job; its model is named in warnings.
        takes_prefill: Whether the model goes on with an answer that is begun for it.
        prefill: What to do if it does not.

    Raises:
        Refusal: The model does not take such a prompt.
    """
    chat = yield from chat_steps(job.prompt)
    if not chat.turns or chat.turns[0][0] != "user":
        raise invalid(
            f"prompt: the first Human turn has no text, and {job.model} does not answer without"
        )
    messages: list[dict[str, Text]] = [{"role": side, "content": text} for side, text in chat.turns]
    system, warnings = chat.system, tuple[str, ...]()
    prefilled = instructed = False
    if chat.prefill and takes_prefill:
        messages.append({"role": "assistant", "content": chat.prefill})
        prefilled = True
    elif chat.prefill and prefill == "refuse":
        raise invalid(
            f"prompt: {job.model} does not continue an answer that is begun for it; end the "
            'prompt with "\\n\\nAssistant:"'
        )
    elif chat.prefill and prefill == "instruct":
        before = f"\n\n{_BEGIN_WITH}" if system else _BEGIN_WITH
        system = Rope.joined(system, before, chat.prefill, _END_OF_PREFILL)
        instructed = True
        warnings = (f"{job.model} takes no prefill; it was given as an instruction",)
    elif chat.prefill:
        warnings = (f"{job.model} takes no prefill; it was left out",)
        chat = Chat(chat.system, chat.turns)
    continuation = Continuation(chat, repeated=instructed)
    repeated: Text = chat.prefill if instructed else ""
    return Question(system, messages, prefilled, repeated, continuation, warnings)


def sampling_of(job: Job) -> dict[str, float | int]:
    """The sampling fields of a job that change anything, by their names in all APIs.

    `top_p` 1 samples from everything, so it is left out: some servers refuse it. `top_p` 0 leaves
    the likeliest token alone, which is what temperature 0 says everywhere.
    """
    sampling: dict[str, float | int] = {"temperature": job.sampling.temperature}
    if job.sampling.top_p is not None and job.sampling.top_p <= 0:
        sampling["temperature"] = 0.0
    elif job.sampling.top_p is not None and job.sampling.top_p < 1 and job.sampling.temperature > 0:
        sampling["top_p"] = job.sampling.top_p
    if job.sampling.top_k is not None and job.sampling.top_k > 0 and sampling["temperature"] > 0:
        sampling["top_k"] = job.sampling.top_k
    return sampling


def may_begin_in(stop: str, text: Text) -> bool:
    """Return whether a stop sequence stands in a text, or begins at its end and goes on behind it.

    A long text may hold any: to search it would take too long.
    """
    if not isinstance(text, str) or len(text) > _SEARCHED_CHARS:
        return True
    if stop in text:
        return True
    return any(text.endswith(stop[:length]) for length in range(1, min(len(stop), len(text) + 1)))
