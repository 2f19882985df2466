from __future__ import annotations

from dataclasses import replace

import pytest

from tenuto.core.job import Caller, Job, Sampling
from tenuto.engine.local.suspects import Present, Suspects
from tenuto.prompt.turns import raw_prompt


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def suspects(clock: Clock) -> Suspects:
    return Suspects(clock)


def job(text: str) -> Job:
    return Job(raw_prompt(text), 5)


def present(text: str, tokens: int = 0, *, on_trial: bool = False) -> Present:
    return Present(job(text), tokens, on_trial)


def test_jobs_at_a_death_are_on_trial_and_others_are_free(suspects: Suspects) -> None:
    suspects.died([present("a"), present("b")])
    assert suspects.deaths(job("a")) == suspects.deaths(job("b")) == 1
    assert suspects.deaths(job("c")) == 0


def test_death_during_a_trial_blames_only_the_job_on_trial(suspects: Suspects) -> None:
    suspects.died([present("bad"), present("old")])
    suspects.died([present("bad", on_trial=True), present("old", 50), present("new")])
    assert suspects.deaths(job("bad")) == 2
    assert suspects.deaths(job("old")) == suspects.deaths(job("new")) == 1


def test_job_at_two_deaths_is_rejected_without_a_trial(suspects: Suspects) -> None:
    suspects.died([present("bad", 90)])
    suspects.died([present("bad", 90), present("new")])
    assert suspects.deaths(job("bad")) == 2
    assert suspects.deaths(job("new")) == 1


def test_equal_requests_at_one_death_count_once(suspects: Suspects) -> None:
    suspects.died([present("a"), present("a")])
    assert suspects.deaths(job("a")) == 1


def test_completed_trial_clears_the_job(suspects: Suspects) -> None:
    suspects.died([present("a")])
    suspects.clear(job("a"))
    assert suspects.deaths(job("a")) == 0


def test_certain_cause_is_rejected_at_once(suspects: Suspects) -> None:
    suspects.died([present("a")], certain=True)
    assert suspects.deaths(job("a")) == 2


def test_equal_request_of_another_caller_is_separate(suspects: Suspects) -> None:
    suspects.died([present("a")], certain=True)
    assert suspects.deaths(replace(job("a"), caller=Caller("other", "other"))) == 0
    assert suspects.deaths(replace(job("a"), sampling=Sampling(0.5))) == 0


@pytest.mark.anyio
async def test_trial_ends_at_the_tokens_of_the_death_or_at_a_limit(suspects: Suspects) -> None:
    suspects.died([present("a", 7), present("b", 5000)])
    for text, tokens in (("a", 7), ("b", 32)):
        trial = await suspects.begin(job(text))
        assert trial.tokens == tokens
        trial.end()


def test_suspects_expire_and_are_limited(suspects: Suspects, clock: Clock) -> None:
    suspects.died([present("a")], certain=True)
    clock.now += 3601
    assert suspects.deaths(job("a")) == 0
    suspects.died([present(str(number)) for number in range(2000)])
    assert len(suspects._records) == 1024


def test_suspects_store_no_prompt(suspects: Suspects) -> None:
    suspects.died([present("a secret")])
    assert "secret" not in repr(suspects._records)
