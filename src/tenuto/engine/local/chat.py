"""The chat template of a model: messages -> the text that it was taught to continue.

A template is a program in Jinja that comes with the model file, so it runs in a sandbox, in the
worker's process. It gets what the `transformers` library gives: the functions `raise_exception`
and `strftime_now`, the filter `tojson` without HTML's escapes, `break` and `continue`, and the tag
`generation`, which changes nothing here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.marks import Marks, Read
from tenuto.engine.local.special import RenderedPrompt, SpecialTokens

_TEMPLATE: Final = "tokenizer.chat_template"

# Words in a model's name that say it was not taught to chat, whatever template it carries.
_BASE: Final = re.compile(r"(?<![a-z0-9])(base|pt|pretrain(ed)?|foundation)(?![a-z0-9])")

_TRIAL: Final = (("user", "Hello"),)
_TRIAL_TALK: Final = (("user", "Hello"), ("assistant", "Hi"), ("user", "Why?"))


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

    Attributes:
        source: The template's text.
        warning: What is odd about it, for the log, or "".

    Raises:
        TemplateRefused: The file has none, or it does not work.
    """

    def __init__(self, file: Gguf) -> None:
        source = file.metadata.get(_TEMPLATE)
        if not isinstance(source, str):
            raise TemplateRefused("the file has no chat template")
        self.source = source
        self._clock = _Clock()
        self._template = _compile(source, self._clock)
        self._tokens = {f"{name}_token": _special_token(file, name) for name in ("bos", "eos")}
        # Whether contents are lists of parts, as of models that also see images.
        self._in_parts = False
        writes = self._try_out()
        self.warning = "" if writes else "its chat template leaves out what the user writes"
        self._mute = not writes and self._is_mute()

    def _try_out(self) -> bool:
        """Find the form in which the template takes contents; return whether it writes them."""
        refusal: TemplateRefused | None = None
        for self._in_parts in (False, True):
            try:
                if not self._arrange(_TRIAL, "", None)[1]:
                    return True
            except TemplateRefused as error:
                refusal = refusal or (None if self._in_parts else error)
        self._in_parts = False
        if refusal is not None:
            raise refusal
        return False

    def _is_mute(self) -> bool:
        """Return whether the template writes nothing of any turn."""
        try:
            return len(self._arrange(_TRIAL_TALK, "", None)[1]) == len(_TRIAL_TALK)
        except TemplateRefused:
            return True

    def render(self, messages: Sequence[Sequence[str]], prefill: str) -> str:
        """Write a conversation as the model knows it, up to where its answer goes on.

        Args:
            messages: Pairs of role and text. The first may be `system`; where the template has
                no place for it, its text goes in front of the first message of the user.
            prefill: The beginning of the answer.

        Raises:
            TemplateRefused: The template does not take these messages.
        """
        return self._arrange(messages, prefill, None)[0].text

    def prompt(
        self, messages: Sequence[Sequence[str]], prefill: str, special: SpecialTokens
    ) -> RenderedPrompt:
        """Write a conversation as `render` does, and find the template's own control tokens.

        Args:
            messages: See `render`.
            prefill: See `render`.
            special: The tokens that texts may not write.

        Raises:
            TemplateRefused: The template does not take these messages, or leaves one out.
        """
        prompt, missing = self._arrange(messages, prefill, special)
        if missing and not self._mute:
            raise TemplateRefused(f"it leaves out the text of the {missing[0]}")
        return prompt

    def _arrange(
        self, messages: Sequence[Sequence[str]], prefill: str, special: SpecialTokens | None
    ) -> tuple[RenderedPrompt, list[str]]:
        """Render the messages in the first arrangement of which nothing is left out.

        Returns:
            The prompt, and the roles of the messages that are left out of all arrangements.

        Raises:
            TemplateRefused: The template takes none of them.
        """
        self._clock.stop()
        best: tuple[RenderedPrompt, list[str]] | None = None
        refusal = TemplateRefused("")
        for arranged in _arrangements(messages):
            try:
                best = self._render(arranged, prefill, special)
            except TemplateRefused as error:
                # Some templates raise for a system message, and some leave it out.
                refusal = error
            else:
                if not best[1]:
                    break
        if best is None:
            raise refusal
        return best

    def _render(
        self, messages: Sequence[Sequence[str]], prefill: str, special: SpecialTokens | None
    ) -> tuple[RenderedPrompt, list[str]]:
        """Render messages once as they are, and with marks until that makes the same text."""
        text = self._run(messages) + prefill
        marks = Marks(special, [*(said for _, said in messages), text])
        written: RenderedPrompt | None = None
        bounded: Read | None = None
        for way in marks.ways(said for role, said in messages if role == "assistant"):
            marked = [
                (role, marks.mark(number, role, said, way))
                for number, (role, said) in enumerate(messages)
            ]
            try:
                rendered = self._run(marked)
            except TemplateRefused:
                continue
            read = marks.read(rendered + marks.mark(len(messages), "prefill", prefill, way))
            if way.bounds:
                bounded = bounded or read
            if read.prompt.text == text:
                written = read.prompt
                break
            # The texts' own special tokens matter to the template. It cannot be followed then.
            written = written or read.prompt
        if written is None:
            raise TemplateRefused("it cannot be told from the text of a turn")
        return written, [
            role
            for number, (role, said) in enumerate(messages)
            if said.strip() and bounded is not None and not bounded.holds(number)
        ]

    def _run(self, messages: Sequence[Sequence[str]]) -> str:
        try:
            text: str = self._template.render(
                messages=[
                    {"role": role, "content": self._content(text)} for role, text in messages
                ],
                add_generation_prompt=True,
                # Who asks for a completion wants the text, not the thoughts before it.
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except Exception as error:
            # A template is a stranger's program: it can fail in every way that a program can.
            raise TemplateRefused(one_line(error)) from None
        return _sound(text)

    def _content(self, text: str) -> str | list[dict[str, str]]:
        return [{"type": "text", "text": text}] if self._in_parts else text


def _arrangements(messages: Sequence[Sequence[str]]) -> Iterator[Sequence[Sequence[str]]]:
    """Yield the messages as they are, and with the system text in the user's first message."""
    yield messages
    (role, system), *others = messages
    if role == "system" and others:
        (role, first), *rest = others
        merged = f"{system}\n\n{first}" if first.strip() else system
        yield [(role, merged), *rest]


class _Clock:
    """The time as templates see it: the same in all renderings of a prompt."""

    def __init__(self) -> None:
        self._now = datetime.now()

    def stop(self) -> None:
        """Take the present time."""
        self._now = datetime.now()

    def strftime(self, form: str) -> str:
        """Format that time."""
        return self._now.strftime(form)


def _compile(source: str, clock: _Clock) -> Any:
    # Late: most models are base models, and the library takes a while to import.
    import jinja2

    try:
        return _environment(clock).from_string(source)
    except (jinja2.TemplateError, RecursionError) as error:
        raise TemplateRefused(f"it is no valid template: {one_line(error)}") from None


def _environment(clock: _Clock) -> Any:
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
    environment.globals["strftime_now"] = clock.strftime
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
    index = file.token_id(name)
    return "" if index is None else _sound(str(file.metadata["tokenizer.ggml.tokens"][index]))


def _sound(text: str) -> str:
    """Replace halves of characters, which are no text: files and templates may have them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def one_line(error: Exception) -> str:
    """Return what an error says, in one line that can be written anywhere."""
    return _sound(" ".join(str(error).split())) or type(error).__name__
