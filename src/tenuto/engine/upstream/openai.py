"""Servers that speak OpenAI's APIs: vLLM, llama.cpp, SGLang, Ollama, LM Studio and the like.

The raw prompt goes to `/v1/completions`. A model that was only taught to chat is asked through
`/v1/chat/completions`, with the prompt's turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tenuto.engine.base import Accepted, Finish, Job
from tenuto.engine.upstream.chat import Prefill, as_chat
from tenuto.engine.upstream.engine import Question
from tenuto.engine.upstream.failures import error_of_object, json_object
from tenuto.engine.upstream.reading import Reading
from tenuto.prompt.turns import HUMAN
from tenuto.wire.event_source import ServerSentEvent


@dataclass(frozen=True, slots=True)
class OpenAITarget:
    """On what terms an OpenAI-compatible server answers.

    Attributes:
        chat: Ask for a chat, not for the continuation of a text.
        takes_prefill: Whether the server goes on with a message of the assistant at the end.
        prefill: What to do with a prefill if it does not.
        takes_top_k: Whether it knows `top_k`, which is not of the API.
        takes_seed: Whether it knows `seed`.
    """

    chat: bool = False
    takes_prefill: bool = False
    prefill: Prefill = "instruct"
    takes_top_k: bool = True
    takes_seed: bool = True

    def ask(self, job: Job) -> Question:
        """What the server is asked for a job.

        Raises:
            UpstreamError: The model does not take such a prompt; status 400.
        """
        warnings: list[str] = []
        body: dict[str, Any] = {
            "model": job.model,
            "max_tokens": job.max_tokens,
            # Sent always: servers have defaults of their own, some take them from the model.
            "temperature": job.temperature,
            "top_p": 1.0 if job.top_p is None else job.top_p,
            # These servers don't say which stop sequence ended a text. So they are given the one
            # that any end stands for; the others are matched here, on a stream that is left when
            # one is found.
            "stop": [HUMAN],
            "stream": job.stream or bool(job.stop_sequences),
        }
        for name, value, takes in (
            ("top_k", job.top_k, self.takes_top_k),
            ("seed", job.seed, self.takes_seed),
        ):
            if value is not None and takes:
                body[name] = value
            elif value is not None:
                warnings.append(f"{job.model} takes no {name}; it was left out")
        if job.user_id is not None:
            body["user"] = job.user_id
        if not self.chat:
            body["prompt"] = job.prompt.text
            reader = _Reader(job.model, tuple(warnings))
            return Question("/v1/completions", body, {}, reader.event, reader.whole)
        chat = as_chat(job, takes_prefill=self.takes_prefill, prefill=self.prefill)
        system = [{"role": "system", "content": chat.system}] if chat.system else []
        body["messages"] = system + chat.messages
        if chat.prefilled:
            # vLLM's and SGLang's way of saying so; llama.cpp does it without being told, but
            # repeats the beginning in an answer that does not stream.
            body |= {"continue_final_message": True, "add_generation_prompt": False, "stream": True}
        reader = _Reader(job.model, (*chat.warnings, *warnings))
        path = "/v1/chat/completions"
        return Question(path, body, {}, reader.event, reader.whole, chat.continuation)


class _Reader:
    """Reads the answers of both APIs."""

    def __init__(self, model: str, warnings: tuple[str, ...]) -> None:
        self._model = model
        self._warnings = warnings

    def event(self, event: ServerSentEvent, reading: Reading) -> None:
        if event.data and event.data != "[DONE]":
            self.whole(json_object(event.data), reading)

    def whole(self, said: dict[str, Any], reading: Reading) -> None:
        if "error" in said:
            reading.failure = error_of_object(said)
            return
        choices = said.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return  # The last one, with the usage alone, or no answer at all.
        if reading.accepted is None:
            model = said.get("model")
            name = model if isinstance(model, str) and model else self._model
            reading.accepted = Accepted(name, warnings=self._warnings)
        if text := _text_of(choice):
            reading.texts.append(text)
        if (reason := choice.get("finish_reason")) is not None:
            reading.finish = Finish.LENGTH if reason == "length" else Finish.END


def _text_of(choice: dict[str, Any]) -> str:
    message = choice.get("delta") or choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    return text if isinstance(text, str) else ""
