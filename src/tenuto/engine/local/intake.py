"""Accept or refuse jobs in the worker: render and tokenise their prompts, then queue them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tenuto.core.begun_text import BegunText
from tenuto.core.job import Sampling
from tenuto.core.refusal import Refusal, invalid, overloaded, too_long
from tenuto.engine.local import frames
from tenuto.engine.local.admission import Admission
from tenuto.engine.local.model_loading import LoadedModel
from tenuto.engine.local.parent_link import ParentLink
from tenuto.engine.local.runtime import TextRefused
from tenuto.engine.local.sandbox import TemplateRefused
from tenuto.engine.local.special import RenderedPrompt
from tenuto.engine.local.text_stream import PlacedTextStream, TextStream
from tenuto.engine.local.tokenising import Tokenising

# Longer prompts are tokenised in a thread, because that takes longer than a step of a small model.
_LONG_BYTES: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that is tokenised and fits the context.

    Attributes:
        added: Number of tokens at the start of the prompt that the caller did not send: BOS.
        tells_ids: Whether the parent wants the ids of its tokens.
        lead: Text of the last tokens that the caller does not have yet.
        written: Number of the last tokens that are those of the completion.
    """

    tokens: list[int]
    max_tokens: int
    sampling: Sampling
    text: TextStream
    tenant: str = ""
    added: int = 0
    tells_ids: bool = False
    lead: str = ""
    written: int = 0


class Intake:
    """Put jobs into the queue of an `Admission`, and report each decision to the parent."""

    def __init__(
        self,
        link: ParentLink,
        admission: Admission[Prepared],
        load: frames.Load,
        model: LoadedModel,
    ) -> None:
        self._link = link
        self._admission = admission
        self._load = load
        self._model = model
        self.tokenising: Tokenising = Tokenising(
            model.encode, lambda key: link.send(frames.TokenisingReport(key))
        )

    def submit(self, frame: frames.Submit) -> None:
        """Queue a job, now or after its prompt is tokenised, or refuse it."""
        if self._model.damage:
            self._link.send(frames.Broke(frame.key, self._model.damage))
            return
        if frame.ids is not None:
            self.queue(frame, frame.ids)
            return
        # Sent first, so that the parent can blame this prompt if the process dies of it.
        self._link.send(frames.TokenisingReport(frame.key))
        try:
            prompt = self._model.render(frame, control_in_text=self._load.special_tokens_in_raw)
        except TemplateRefused as error:
            reason = f"the model's chat template refuses the prompt: {error}"
            self._refuse(frame.key, invalid(reason))
            return
        size = len(prompt.text.encode())
        runtime = self._model.runtime
        least, limit = size // runtime.longest_token, runtime.context - 1
        if least > limit:
            # Too long, however it is tokenised.
            self._refuse(frame.key, too_long(least, limit))
        elif size <= _LONG_BYTES:
            self.queue(frame, self._encoded(prompt))
        elif self._has_place():
            self._link.send(frames.TokenisingReport(frame.key, begins=False))
            self.tokenising.add(frame, prompt)
        else:
            self._refuse(frame.key, overloaded())

    def queue(self, frame: frames.Submit, tokens: list[int] | Exception) -> None:
        """Queue a job whose prompt is tokenised, count its tokens, or refuse it."""
        runtime = self._model.runtime
        # The last place of the context is for the first token of the completion.
        limit = runtime.context - min(1, frame.max_tokens)
        if isinstance(tokens, TextRefused):
            self._refuse(frame.key, invalid(str(tokens)))
            return
        if isinstance(tokens, Exception):
            reason = f"{type(tokens).__name__}: cannot tokenise"
            self._link.send(frames.Broke(frame.key, reason))
            return
        if frame.counts:
            self._link.send(frames.Accepted(frame.key, len(tokens)))
            return
        if not tokens:
            self._refuse(frame.key, invalid("prompt: the model needs at least one token."))
            return
        stream = stream_of(frame.sampling, spaced=frame.messages is not None and not frame.prompt)
        lead, written = "", 0
        if frame.begun is not None:
            length, digest, ids = frame.begun
            begun = BegunText(length, digest, tuple(ids))
            spelled = self._spelled(begun, stream)
            if spelled is None or not begun.begins(spelled):
                reason = "begun: the tokens do not spell the text with this model."
                self._refuse(frame.key, invalid(reason))
                return
            tokens, lead, written = tokens + ids, spelled[length:], len(ids)
        if len(tokens) > limit:
            self._refuse(frame.key, too_long(len(tokens), limit))
            return
        max_tokens = min(frame.max_tokens, runtime.context - len(tokens))
        blocks = -(-(len(tokens) + max_tokens) // runtime.block_tokens)
        added = 0 if frame.ids is not None else self._model.added(frame.prompt, tokens)
        about = (frame.sampling, stream, frame.tenant, added, frame.tells_ids, lead, written)
        job = Prepared(tokens, max_tokens, *about)
        others = len(self.tokenising)
        if self._admission.offer(frame.key, job, blocks, others, len(tokens)):
            self._link.send(frames.Accepted(frame.key, len(tokens)))
        else:
            self._refuse(frame.key, overloaded())

    def _spelled(self, begun: BegunText, stream: TextStream) -> str | None:
        """Push the tokens of a text into the decoder of its rest, and return what they spell.

        None if a control token is among them, which would be one that a prompt may not have.
        """
        parts = list(map(self._model.runtime.spell, begun.ids))
        return stream.push(b"".join(parts)) if all(parts) else None

    def _encoded(self, prompt: RenderedPrompt) -> list[int] | Exception:
        try:
            return self._model.encode(prompt)
        except Exception as error:
            return error

    def _has_place(self) -> bool:
        """Return whether another long prompt may wait, or might run at once."""
        places = self._load.max_waiting + self._admission.may_run_another
        return self._admission.waiting + len(self.tokenising) < places

    def _refuse(self, key: int, refusal: Refusal) -> None:
        kind, message = refusal.kind.value, refusal.message
        self._link.send(frames.Refused(key, kind, message, refusal.retry_after))


def stream_of(sampling: Sampling, *, spaced: bool) -> TextStream:
    """Return the decoder of a completion."""
    if sampling.logprobs is None:
        return TextStream(spaced=spaced)
    # A caller who gets the prompt's tokens counts on one entry for each token.
    all_tokens = sampling.prompt_logprobs is not None
    return PlacedTextStream(spaced=spaced, all_tokens=all_tokens)
