"""Render a conversation through the chat template of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tenuto.core.text import well_formed
from tenuto.engine.local.gguf import Gguf
from tenuto.engine.local.marks import Marks, Read
from tenuto.engine.local.sandbox import TemplateRefused, compile_template, one_line
from tenuto.engine.local.special import RenderedPrompt, SpecialTokens

if TYPE_CHECKING:
    from datetime import datetime

_TEMPLATE: Final = "tokenizer.chat_template"

# Words in the name of a model that is not trained for chat, though it may have a template.
_BASE: Final = re.compile(r"(?<![a-z0-9])(base|pt|pretrain(ed)?|foundation)(?![a-z0-9])")

_TRIAL: Final = (("user", "Hello"),)
_TRIAL_CONVERSATION: Final = (("user", "Hello"), ("assistant", "Hi"), ("user", "Why?"))


def _now() -> datetime:
    # Imported late because most models are base models.
    from datetime import datetime

    return datetime.now()


def is_chat_model(file: Gguf) -> bool:
    """Return whether a model has a chat template, and is not named as a base model."""
    if not isinstance(file.metadata.get(_TEMPLATE), str):
        return False
    names = (file.metadata.get(f"general.{name}", "") for name in ("name", "finetune"))
    return not any(_BASE.search(str(name).lower()) for name in names)


def template_of(file: Gguf, form: str) -> ChatTemplate | None:
    """Return the template for prompts, by `LocalSettings.format`; None for plain completion.

    Raises:
        TemplateRefused: The template is required, and missing or invalid.
    """
    chat = form == "chat" or (form == "auto" and is_chat_model(file))
    return ChatTemplate(file) if chat else None


class ChatTemplate:
    """The compiled template of a model file, tried once.

    Attributes:
        source: The template's text.
        warning: A defect, for the log, or "".

    Raises:
        TemplateRefused: The template is missing or invalid.
    """

    def __init__(self, file: Gguf) -> None:
        source = file.metadata.get(_TEMPLATE)
        if not isinstance(source, str):
            raise TemplateRefused("the file has no chat template")
        self.source = source
        self._now = _now()
        self._template = compile_template(source, lambda form: self._now.strftime(form))
        self._tokens = {f"{name}_token": _special_token(file, name) for name in ("bos", "eos")}
        # Whether contents are lists of parts, as for models with image input.
        self._in_parts = False
        complete = self._select_form()
        self.warning = "" if complete else "its chat template leaves out the text of the user"
        self._mute = not complete and self._is_mute()

    def _select_form(self) -> bool:
        """Select the form of contents, and return whether the template then contains them."""
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
        """Return whether the template leaves out all turns."""
        try:
            return len(self._arrange(_TRIAL_CONVERSATION, "", None)[1]) == len(_TRIAL_CONVERSATION)
        except TemplateRefused:
            return True

    def prompt(
        self, messages: Sequence[Sequence[str]], prefill: str, special: SpecialTokens | None
    ) -> RenderedPrompt:
        """Render a conversation up to the position where the answer continues.

        Args:
            messages: Pairs of role and text. The first may be `system`; if the template leaves it
                out, its text goes in front of the first message of the user.
            prefill: Beginning of the answer.
            special: Tokens that the text of messages must not become.

        Raises:
            TemplateRefused: The template refuses these messages, or leaves one out.
        """
        prompt, missing = self._arrange(messages, prefill, special)
        if missing and not self._mute:
            raise TemplateRefused(f"it leaves out the text of the {missing[0]}")
        return prompt

    def _arrange(
        self, messages: Sequence[Sequence[str]], prefill: str, special: SpecialTokens | None
    ) -> tuple[RenderedPrompt, list[str]]:
        """Render the messages in the first arrangement that leaves none out.

        Returns:
            The prompt, and the roles of the messages that all arrangements leave out.
        """
        self._now = _now()
        best: tuple[RenderedPrompt, list[str]] | None = None
        refusal = TemplateRefused("")
        for arranged in _arrangements(messages):
            try:
                best = self._render(arranged, prefill, special)
            except TemplateRefused as error:
                # Some templates raise for a system message, others leave it out.
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
        """Render messages without marks, and with marks until both give the same text."""
        text = self._run(messages) + prefill
        marks = Marks(special, [*(content for _, content in messages), text])
        prompt: RenderedPrompt | None = None
        bounded: Read | None = None
        for way in marks.ways(content for role, content in messages if role == "assistant"):
            marked = [
                (role, marks.mark(number, role, content, way))
                for number, (role, content) in enumerate(messages)
            ]
            try:
                rendered = self._run(marked)
            except TemplateRefused:
                continue
            read = marks.read(rendered + marks.mark(len(messages), "prefill", prefill, way))
            if way.bounds:
                bounded = bounded or read
            if read.prompt.text == text:
                prompt = read.prompt
                break
            # The template depends on special tokens in the texts: use the rendering with marks.
            prompt = prompt or read.prompt
        if prompt is None:
            raise TemplateRefused("its text cannot be separated from that of a turn")
        return prompt, [
            role
            for number, (role, content) in enumerate(messages)
            if content.strip() and bounded is not None and not bounded.holds(number)
        ]

    def _run(self, messages: Sequence[Sequence[str]]) -> str:
        def content(text: str) -> str | list[dict[str, str]]:
            return [{"type": "text", "text": text}] if self._in_parts else text

        try:
            text: str = self._template.render(
                messages=[{"role": role, "content": content(text)} for role, text in messages],
                add_generation_prompt=True,
                # Completions have no place for thoughts before the text.
                enable_thinking=False,
                tools=None,
                documents=None,
                **self._tokens,
            )
        except Exception as error:
            # A template can fail in every way that a program can.
            raise TemplateRefused(one_line(error)) from None
        return well_formed(text)


def _arrangements(messages: Sequence[Sequence[str]]) -> Iterator[Sequence[Sequence[str]]]:
    """Yield the messages, and then with the system text in the user's first message."""
    yield messages
    (role, system), *others = messages
    if role == "system" and others:
        (role, first), *rest = others
        merged = f"{system}\n\n{first}" if first.strip() else system
        yield [(role, merged), *rest]


def _special_token(file: Gguf, name: str) -> str:
    """Return the text of a special token; "" without one."""
    index = file.token_id(name)
    return "" if index is None else well_formed(str(file.tokens[index]))
