"""Servers that speak OpenAI's APIs: vLLM, llama.cpp, SGLang, Ollama, LM Studio and the like.

The raw prompt goes to `/v1/completions`. A model that was only taught to chat is asked through
`/v1/chat/completions`, with the prompt's turns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from tenuto.core.job import Finish, Job, Usage
from tenuto.core.prompt import HUMAN
from tenuto.core.refusal import unsupported
from tenuto.engine.upstream.chat import Prefill, as_chat, sampling_of
from tenuto.engine.upstream.failures import broke_off, error_in
from tenuto.engine.upstream.kind import ServerUpstream
from tenuto.engine.upstream.reading import Manner, Reading, count_in
from tenuto.engine.upstream.request import Steps, UpstreamRequest

_LENGTH_REASONS: Final = frozenset(("length", "max_tokens", "max_length", "model_length"))
# In the middle of a text some servers write no reason as a word.
_NO_REASONS: Final = frozenset(("", "null", "none"))
_FAILURES: Final = frozenset(("error", "abort"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIUpstream(ServerUpstream):
    """`kind = "openai"`: a server that speaks OpenAI's APIs.

    Attributes:
        chat: Ask for a chat (`/v1/chat/completions`), not for the continuation of a text.
        prefill: What to do with the beginning of an answer where a chat takes none: give it as
            an instruction, refuse the request, or leave it out.
        takes_prefill: Whether a chat may end with the beginning of an answer.
        takes_top_k: Whether it knows `top_k`, which is not of the API.
        takes_seed: Whether it knows `seed`.
        takes_stream_options: Whether it knows `stream_options`, with which it is asked what a
            stream took. A server that refuses the field is asked again without it.
    """

    key_header: ClassVar[str] = "authorization"

    kind: Literal["openai"] = "openai"
    chat: bool = False
    prefill: Prefill = "instruct"
    takes_prefill: bool = False
    takes_top_k: bool = True
    takes_seed: bool = True
    takes_stream_options: bool = True

    def request_for(self, job: Job) -> Steps:
        """Make the request for a job.

        Raises:
            Refusal: The model does not take such a prompt, or takes no seed.
        """
        warnings: list[str] = []
        sampling = sampling_of(job)
        if not self.takes_top_k and sampling.pop("top_k", None) is not None:
            warnings.append(f"{job.model} takes no top_k; it was left out")
        if job.sampling.seed is not None and not self.takes_seed:
            raise unsupported("seed", f"{job.model} takes none. Leave it out.")
        body: dict[str, Any] = {
            "model": job.model,
            "max_tokens": job.max_tokens,
            # The temperature is sent always: servers have defaults of their own, some take them
            # from the model.
            **sampling,
            # These servers don't say which stop sequence ended a text. So they are given the one
            # that any end stands for; the others are matched here, on a stream that is left when
            # one is found.
            "stop": [HUMAN],
            "stream": job.stream or bool(job.stop_sequences),
        }
        if job.sampling.seed is not None:
            body["seed"] = job.sampling.seed
        if job.user_id is not None:
            body["user"] = job.user_id
        path, continuation = "/completions", None
        if self.chat:
            chat = yield from as_chat(job, takes_prefill=self.takes_prefill, prefill=self.prefill)
            system = [{"role": "system", "content": chat.system}] if chat.system else []
            body["messages"] = system + chat.messages
            if chat.prefilled:
                # vLLM's and SGLang's way of saying so; llama.cpp does it without being told, but
                # repeats the beginning in an answer that does not stream.
                body |= {"continue_final_message": True, "add_generation_prompt": False}
                body["stream"] = True
            path, continuation = "/chat/completions", chat.continuation
            warnings = [*chat.warnings, *warnings]
        else:
            body["prompt"] = job.prompt.whole()
        awaits_usage = self.takes_stream_options and body["stream"]
        if awaits_usage:
            body["stream_options"] = {"include_usage": True}
        manner = Manner(
            _read,
            continuation,
            job.model,
            tuple(warnings),
            plain=not body["stream"],
            awaits_usage=awaits_usage,
        )
        return UpstreamRequest(path, body, {}, manner)


def _read(name: str, said: dict[str, Any], reading: Reading) -> None:
    """Write down what an event of either API says, or a whole answer."""
    usage = said.get("usage")
    if isinstance(usage, dict) and usage:
        reading.usage = Usage(
            count_in(usage, "prompt_tokens"),
            count_in(usage.get("prompt_tokens_details"), "cached_tokens"),
            count_in(usage, "completion_tokens"),
        )
    choices = said.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return  # The last one, with the usage alone, or no answer at all.
    if (failure := error_in("", {"error": choice.get("error")})) is not None:
        reading.failure = failure
        return
    reading.begin(said.get("model"))
    if text := _text_of(choice):
        reading.texts.append(text)
    reason = choice.get("finish_reason")
    reason = reason.strip().lower() if isinstance(reason, str) else ""
    if reason in _FAILURES:
        reading.failure = broke_off()
    elif reason not in _NO_REASONS:
        reading.finish = Finish.LENGTH if reason in _LENGTH_REASONS else Finish.END


def _text_of(choice: dict[str, Any]) -> str:
    for key in ("delta", "message"):
        message = choice.get(key)
        if isinstance(message, dict) and message:
            content = message.get("content")
            return _joined(content) or _joined(message.get("refusal"))
    return _joined(choice.get("text"))


def _joined(content: object) -> str:
    """A text, or the texts among its parts: thoughts and other kinds are none."""
    if isinstance(content, str):
        return content
    parts: Iterable[object] = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in ("text", "output_text", None, ""):
            text = part.get("text")
            texts.append(text if isinstance(text, str) else "")
    return "".join(texts)
