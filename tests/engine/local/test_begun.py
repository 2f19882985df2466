"""A job goes on after the very tokens that another worker sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenuto.core.begun_text import begun_text
from tenuto.core.job import Job, Sampling
from tenuto.core.refusal import Refusal
from tenuto.engine.local import frames
from tenuto.engine.local.runtime import Delta
from tenuto.engine.local.submission import check
from tenuto.prompt.turns import human_turn, parse_prompt
from tests.engine.local.test_step_loop import Parent, Scripted, worker

PROMPT = "\n\nHuman: Hi\n\nAssistant:"
SAMPLED = b" Ich w\xc3\xa4hle \xe2\x82\xac 5"
END = 0


class Spelling(Scripted):
    """A model whose tokens are bytes; 0 is a control token. Writes `text` and ends.

    Attributes:
        text: What it writes.
        prompts: The tokens of its jobs.
        written: How many of them are those of a completion that goes on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.text = b" or 6"
        self.prompts: dict[int, list[int]] = {}
        self.written: dict[int, int] = {}

    def spell(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])

    def begin(
        self,
        key: int,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        tenant: str = "",
        written: int = 0,
    ) -> None:
        super().begin(key, prompt, max_tokens, sampling, tenant)
        self.prompts[key] = [*prompt]
        self.written[key] = written

    def step(self) -> list[Delta]:
        keys, self.left = [*self.left], {}
        ids = (*self.text, END)
        return [Delta(key, self.text, len(ids), "end", ids=ids) for key in keys]


@pytest.fixture
def runtime() -> Iterator[Spelling]:
    runtime = Spelling()
    yield runtime
    runtime.may_tokenise.set()


def submit(text: str, ids: Sequence[int], *, tells: bool = False) -> frames.Submit:
    sampling = Sampling(temperature=0.0, seed=1)
    begun = begun_text(text, ids)
    sampled = (begun.length, begun.digest, [*ids]) if ids else None
    return frames.Submit(1, PROMPT, 50, sampling, tells_ids=tells, begun=sampled)


def wrote(parent: Parent) -> tuple[list[str], list[int], int]:
    """Return the texts of the job, the ids of its tokens and their number."""
    texts: list[str] = []
    ids: list[int] = []
    tokens = 0
    while True:
        frame = parent.until(frames.Wrote)
        ids += [token for _, each in frame.ids for token in each]
        texts += [text for _, text, _, _ in frame.pieces]
        tokens += sum(count for _, _, count, _ in frame.pieces)
        if frame.pieces[-1][3] is not None:
            return texts, ids, tokens


@given(st.integers(1, len(SAMPLED)), st.data())
def test_job_goes_on_after_its_tokens_and_returns_text_that_was_not_known(
    count: int, data: st.DataObject
) -> None:
    runtime = Spelling()
    # Bytes of a character that is not complete belong to the text after them.
    spelled = SAMPLED[:count].decode("utf-8", "ignore")
    known = data.draw(st.integers(0, len(spelled)))
    runtime.text = SAMPLED[count:] + b" or 6"
    with worker(runtime) as parent:
        parent.send(submit(spelled[:known], SAMPLED[:count]))
        texts, ids, tokens = wrote(parent)
    assert runtime.prompts[1] == [*PROMPT.encode(), *SAMPLED[:count]]
    assert runtime.written[1] == count
    assert spelled[:known] + "".join(texts) == (SAMPLED + b" or 6").decode()
    # Text that was held back, say before a stop sequence, comes before any new token.
    if known < len(spelled):
        assert texts[0] == spelled[known:]
    assert tokens == len(runtime.text) + 1
    assert ids == []


def test_ids_are_sent_without_the_token_that_ended_the_text(runtime: Spelling) -> None:
    with worker(runtime) as parent:
        parent.send(submit("", b"", tells=True))
        assert wrote(parent)[1] == [*runtime.text]
    assert runtime.written[1] == 0


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (" one", b" on"),
        (" one", b" two"),
        (" one", b" onf"),
        ("one", b" one"),
        (" one", [*b" one", END]),
        (" one", [*b" on", END, *b"e"]),
        (" one", b" oneX"[::-1]),
    ],
)
def test_tokens_that_do_not_spell_the_text_are_refused(
    runtime: Spelling, text: str, ids: Sequence[int]
) -> None:
    with worker(runtime) as parent:
        parent.send(submit(text, ids))
        refused = parent.until(frames.Refused)
    assert refused.message == "begun: the tokens do not spell the text with this model."
    assert runtime.prompts == {}


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ((), "begun: the model needs at least one token."),
        ((5, 256), "begun: 256 is no token of this model"),
        (tuple(range(100)) * 40, "prompt is too long"),
    ],
)
def test_ids_are_checked_before_they_reach_the_worker(ids: tuple[int, ...], reason: str) -> None:
    loaded = frames.Loaded(2048, 100, 100, 1, 1, "scripted", False, "", vocabulary=256)
    job = Job(parse_prompt(human_turn("Hi")), 5, begun=begun_text("", ids))
    with pytest.raises(Refusal, match=reason):
        check(job, loaded)
    check(Job(job.prompt, 5, begun=begun_text(" a", b" a")), loaded)
