"""`Prompt` -> `Chat` by the rules of `prompt.render`, in slices for a `LongPrompt`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeAlias

from tenuto.core.long_text import PIECE_BYTES, LongText, Rope, Text, character_start
from tenuto.core.prompt import Prompt
from tenuto.prompt.long_prompt import LongPrompt
from tenuto.prompt.render import Chat, to_chat

# They take less than a millisecond.
_TURNS_AT_ONCE: Final = 128
# A shorter text is a `str`: even those of the most turns are small together.
_SHORT_BYTES: Final = 256

_Span: TypeAlias = tuple[int, int]


def chat_steps(prompt: Prompt) -> Generator[None, None, Chat]:
    """Convert like `to_chat`. Yields between two slices of work.

    Texts of a `LongPrompt` are `Rope`s unless they are short.
    """
    if not isinstance(prompt, LongPrompt):
        return to_chat(prompt)
    source = prompt.source
    if not prompt.has_turns:
        whole = (0, len(source.data))
        blank = (yield from _content_start(source, whole)) == whole[1]
        return Chat("", () if blank else (("user", prompt.whole()),))
    merged: list[tuple[str, list[_Span]]] = []
    for number, (human, *span) in enumerate(_all_spans(prompt)):
        start, end = span
        # The one space after the colon.
        start += source.data[start : start + 1] == b" "
        if (yield from _content_start(source, (start, end))) < end:
            side = "user" if human else "assistant"
            if not merged or merged[-1][0] != side:
                merged.append((side, []))
            merged[-1][1].append((start, end))
        if number % _TURNS_AT_ONCE == _TURNS_AT_ONCE - 1:
            yield
    begun = merged.pop()[1] if merged and merged[-1][0] == "assistant" else []
    turns = []
    for number, (side, spans) in enumerate(merged):
        turns.append((side, _text(source, spans)))
        if number % _TURNS_AT_ONCE == _TURNS_AT_ONCE - 1:
            yield
    gap: Text = ""
    if begun:
        start, end = begun[-1]
        content_end = yield from _content_end(source, (start, end))
        begun[-1] = (start, content_end)
        gap = _text(source, [(content_end, end)])
    system = prompt.system_span()
    start = yield from _content_start(source, system)
    end = (yield from _content_end(source, (start, system[1]))) if start < system[1] else start
    return Chat(_text(source, [(start, end)]), tuple(turns), _text(source, begun), gap)


def _all_spans(prompt: LongPrompt) -> Generator[tuple[bool, int, int], None, None]:
    """Yield the turns, and the prefill as the last one, of the Assistant."""
    yield from prompt.spans()
    yield (False, *prompt.prefill_span())


def _text(source: LongText, spans: list[_Span]) -> Text:
    """Join spans with blank lines."""
    if sum(end - start for start, end in spans) <= _SHORT_BYTES:
        return "\n\n".join(source.data[start:end].decode() for start, end in spans)
    parts: list[str | tuple[LongText, int, int]] = []
    for start, end in spans:
        parts += ["\n\n", (source, start, end)] if parts else [(source, start, end)]
    return Rope(*parts)


def _content_start(source: LongText, span: _Span) -> Generator[None, None, int]:
    """Return the offset of a span's first character that is not white space, or its end."""
    start, end = span
    if source.data[start : start + 1].isalnum():
        return start  # The usual text.
    for piece in source.pieces(start, end):
        if stripped := piece.lstrip():
            return start + len(piece[: len(piece) - len(stripped)].encode())
        start += len(piece.encode())
        yield
    return end


def _content_end(source: LongText, span: _Span) -> Generator[None, None, int]:
    """Return the offset after a span's last character that is not white space, or its start."""
    start, end = span
    while start < end:
        cut = max(start, character_start(source.data, end - PIECE_BYTES))
        if stripped := source.data[cut:end].decode().rstrip():
            return cut + len(stripped.encode())
        end = cut
        yield
    return start
