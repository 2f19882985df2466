"""A job as a chat, for APIs of chats, and the sampling fields that all APIs share."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, Literal

from tenuto.core.job import Job
from tenuto.core.long_text import Rope, Text
from tenuto.core.refusal import invalid
from tenuto.core.value import value
from tenuto.prompt.long_render import chat_steps
from tenuto.prompt.render import Chat, Continuation

Prefill = Literal["instruct", "refuse", "drop"]
"""Treatment of a prefill if the model does not support it: send it as an instruction, refuse the
request, or drop it."""

_BEGIN_WITH: Final = (
    "Your answer must begin with exactly the text between the two lines below, and then go on from "
    "there without repeating it.\n<beginning>\n"
)
_END_OF_PREFILL: Final = "\n</beginning>"

# A longer prefill is not searched for each of a thousand stop sequences.
_SEARCHED_CHARS: Final = 4096


@value
class ChatPrompt:
    """A job's prompt as a chat.

    Attributes:
        system: The system text, or "".
        messages: In the form of both chat APIs. A prefill that is sent is the last one.
        has_prefill: Whether a prefill is sent.
        repeated: The prefill if it is sent as an instruction, so that the answer should repeat it;
            else "".
        continuation: Turns the answer into a completion.
        warnings: What was changed or left out, for the caller.
    """

    system: Text
    messages: list[dict[str, Text]]
    has_prefill: bool
    repeated: Text
    continuation: Continuation
    warnings: list[str]


def chat_prompt(
    job: Job, *, takes_prefill: bool, prefill: Prefill
) -> Generator[None, None, ChatPrompt]:
    """Make a chat of a job's prompt. Yields between two slices of work.

    Args:
        job: The job; its model is named in warnings.
        takes_prefill: Whether the model continues a prefill.
        prefill: Treatment of a prefill if it does not.

    Raises:
        Refusal: The model does not accept the prompt.
    """
    chat = yield from chat_steps(job.prompt)
    if not chat.turns or chat.turns[0][0] != "user":
        raise invalid(
            f"prompt: the first Human turn must not be empty, because {job.model} requires its text"
        )
    messages: list[dict[str, Text]] = [{"role": side, "content": text} for side, text in chat.turns]
    system, warnings = chat.system, list[str]()
    repeated: Text = ""
    has_prefill = bool(chat.prefill) and takes_prefill
    if has_prefill:
        messages.append({"role": "assistant", "content": chat.prefill})
    elif chat.prefill and prefill == "refuse":
        raise invalid(
            f"prompt: {job.model} does not continue the beginning of an answer; end the prompt "
            'with "\\n\\nAssistant:"'
        )
    elif chat.prefill and prefill == "instruct":
        before = f"\n\n{_BEGIN_WITH}" if system else _BEGIN_WITH
        system = Rope.joined(system, before, chat.prefill, _END_OF_PREFILL)
        repeated = chat.prefill
        warnings.append(f"{job.model} does not support a prefill; it was sent as an instruction")
    elif chat.prefill:
        warnings.append(f"{job.model} does not support a prefill; it was left out")
        chat = Chat(chat.system, chat.turns)
    continuation = Continuation(chat, repeated=bool(repeated))
    return ChatPrompt(system, messages, has_prefill, repeated, continuation, warnings)


def sampling_fields(job: Job) -> dict[str, float | int]:
    """Return the sampling fields of a job that have an effect. Their names are those of all APIs.

    `top_p` 1 has none, and some servers reject it. `top_p` 0 leaves only the likeliest token, which
    is temperature 0 in all APIs.
    """
    sampling = job.sampling
    greedy = sampling.temperature <= 0 or (sampling.top_p is not None and sampling.top_p <= 0)
    fields: dict[str, float | int] = {"temperature": 0.0 if greedy else sampling.temperature}
    if not greedy and sampling.top_p is not None and sampling.top_p < 1:
        fields["top_p"] = sampling.top_p
    if not greedy and sampling.top_k is not None and sampling.top_k > 0:
        fields["top_k"] = sampling.top_k
    return fields


def may_begin_in(stop: str, text: Text) -> bool:
    """Return whether a stop sequence occurs in a text, or begins at its end and extends beyond it.

    True for a long text, because a search would take too long.
    """
    if not isinstance(text, str) or len(text) > _SEARCHED_CHARS or stop in text:
        return True
    return any(text.endswith(stop[:length]) for length in range(1, min(len(stop), len(text) + 1)))
