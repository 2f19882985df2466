"""The chat template of a model: messages -> the text that it was taught to continue.

A template is a program in Jinja that comes with the model file, so it runs in a sandbox, in the
worker's process. It gets what the `transformers` library gives: the functions `raise_exception`
and `strftime_now`, the filter `tojson` without HTML's escapes, `break` and `continue`, and the tag
`generation`, which changes nothing here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tenuto.engine.local.gguf import Gguf

_TEMPLATE: Final = "tokenizer.chat_template"

# Words in a model's name that say it was not taught to chat, whatever template it carries.
_BASE: Final = re.compile(r"(?<![a-z0-9])(base|pt|pretrain(ed)?|foundation)(?![a-z0-9])")

_TRIAL: Final = (("user", "Hello"),)


class TemplateRefused(ValueError):
    """The template is broken, or does not take these messages. The message is one line."""


def is_chat_model(file: Gguf) -> bool:
    """Whether a model was taught to chat: it has a template, and is not called a base model."""
    if not isinstance(file.metadata.get(_TEMPLATE), str):
        return False
    names = (file.metadata.get(f"general.{name}", "") for name in ("name", "finetune"))
    return not any(_BASE.search(str(name).lower()) for name in names)


def template_of(file: Gguf, form: str) -> ChatTemplate | None:
    """The template that prompts go through; None if they are completed as text.

    Args:
        file: The model.
        form: `auto`, `raw` or `chat`; see `LocalSettings.format`.

    Raises:
        TemplateRefused: The model is to chat, and has no template, or one that does not work.
    """
    chat = form == "chat" or (form == "auto" and is_chat_model(file))
    return ChatTemplate(file) if chat else None


class ChatTemplate:
    """The compiled template of a model file, tried once.

    Raises:
        TemplateRefused: The file has none, or it does not work.
    """

    def __init__(self, file: Gguf) -> None:
        source = file.metadata.get(_TEMPLATE)
        if not isinstance(source, str):
            raise TemplateRefused("the file has no chat template")
        self._template = _compile(source)
        self._tokens = {f"{name}_token": _special_token(file, name) for name in ("bos", "eos")}
        self.render(_TRIAL, "")

    def render(self, messages: Sequence[Sequence[str]], prefill: str) -> str:
        """Writes a conversation as the model knows it, up to where its answer goes on.

        Args:
            messages: Pairs of role and text. The first may be `system`; where the template has
                no place for it, its text goes in front of the first message of the user.
            prefill: The beginning of the answer.

        Raises:
            TemplateRefused: The template does not take these messages.
        """
        (role, system), *others = messages
        if role == "system":
            try:
                text = self._run(messages)
            except TemplateRefused:
                text = ""
            # Some templates raise, and some say nothing and leave it out.
            if system in text:
                return text + prefill
            (role, first), *rest = others
            messages = [(role, f"{system}\n\n{first}"), *rest]
        return self._run(messages) + prefill

    def _run(self, messages: Sequence[Sequence[str]]) -> str:
        try:
            text: str = self._template.render(
                messages=[{"role": role, "content": text} for role, text in messages],
                add_generation_prompt=True,
                # Who asks for a completion wants the text, not the thoughts before it.
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except Exception as error:
            # A template is a stranger's program: it can fail in every way that a program can.
            raise TemplateRefused(_one_line(error)) from None
        return text


def _compile(source: str) -> Any:
    # Late: most models are base models, and the library takes a while to import.
    import jinja2

    try:
        return _environment().from_string(source)
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateRefused(f"it is no valid template: {_one_line(error)}") from None


def _environment() -> Any:
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks, for training, what the assistant wrote."""

        tags = {"generation"}  # noqa: RUF012  # as the library declares it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message: object) -> None:
        raise TemplateError(str(message))

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _special_token(file: Gguf, name: str) -> str:
    """The text of a special token, "" if the model has none."""
    metadata: Mapping[str, Any] = file.metadata
    tokens = metadata.get("tokenizer.ggml.tokens", ())
    index = metadata.get(f"tokenizer.ggml.{name}_token_id")
    known = isinstance(index, int) and 0 <= index < len(tokens)
    return str(tokens[index]) if known else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
