"""Cassettes around the client, in one process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from tenuto import AI_PROMPT, HUMAN_PROMPT, BadRequestError, Client
from tenuto.cassette.file import CassetteError
from tenuto.testing import MissedError, Tape, cassette
from tests.conftest import running_server


def ask(client: Client, text: str) -> str:
    prompt = f"{HUMAN_PROMPT} {text}{AI_PROMPT}"
    return client.completions.create(model="m", prompt=prompt, max_tokens_to_sample=9).completion


def streamed(tape: Tape, text: str) -> list[str]:
    stream = tape.client.completions.create(
        model="m",
        prompt=f"{HUMAN_PROMPT} {text}{AI_PROMPT}",
        max_tokens_to_sample=9,
        stream=True,
    )
    return [event.completion for event in stream]


def recorded(path: Path, *texts: str) -> None:
    with cassette(path, "all", engine="echo") as tape:
        for text in texts:
            assert ask(tape.client, text) == f" {text}"


def test_recorded_answers_are_replayed_to_both_clients(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded(path, "one two", "one two")

    async def asynchronous(tape: Tape) -> str:
        async with tape.async_client as client:
            completion = await client.completions.create(
                model="m",
                prompt=f"{HUMAN_PROMPT} one two{AI_PROMPT}",
                max_tokens_to_sample=9,
            )
        return completion.completion

    with cassette(path) as tape:
        assert streamed(tape, "one two") == [" one", " two", ""]
        assert asyncio.run(asynchronous(tape)) == " one two"
        assert (tape.replayed, tape.missed, tape.left) == (2, 0, 0)


def test_miss_is_an_error_of_the_call_and_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded(path, "one")
    with pytest.raises(BadRequestError, match="nearest is line 1"), cassette(path) as tape:
        ask(tape.client, "two")
    # As a program that hides all errors.
    with (
        pytest.raises(MissedError, match=r"requests without a recording in .*: 1"),
        cassette(path) as tape,
        suppress(Exception),
    ):
        ask(tape.client, "two")


def test_once_records_only_without_a_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.jsonl"
    for _ in range(2):
        with cassette(path, "once", engine="echo") as tape:
            assert ask(tape.client, "one") == " one"
    assert len(path.read_bytes().splitlines()) == 1


def test_new_episodes_are_added(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded(path, "one")
    with cassette(path, "new_episodes", engine="echo") as tape:
        assert [ask(tape.client, text) for text in ("one", "two")] == [" one", " two"]
    with cassette(path) as tape:
        assert [ask(tape.client, text) for text in ("two", "one")] == [" two", " one"]


def test_failed_recording_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    recorded(path, "one")
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), cassette(path, "all", engine="echo") as tape:
        assert len(ask(tape.client, "two")) / 0
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_server_is_recorded_without_its_key(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    settings = tmp_path / "tenuto.toml"
    settings.write_text('[engine]\nname = "echo"\n')
    key = "the-key-of-the-server"
    with (
        running_server("--config", str(settings)) as server,
        cassette(path, "all", base_url=server.url, api_key=key) as tape,
    ):
        assert ask(tape.client, f"use {key}") == f" use {key}"
    assert key not in path.read_text()
    with cassette(path, api_key=key) as tape:
        assert ask(tape.client, f"use {key}") == " use [scrubbed]"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, CassetteError, 'a.jsonl: is not there; record it with the mode "once"'),
        ({"mode": "some"}, ValueError, "mode: must be one of: none, once, new_episodes, all"),
        ({"engine": "echo", "base_url": "http://x"}, ValueError, "exclude each other"),
        ({"scrub": ["("]}, CassetteError, "no regular expression"),
    ],
)
def test_wrong_use_is_an_error(
    options: dict[str, object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message), cassette(tmp_path / "a.jsonl", **options):  # type: ignore[arg-type]
        pass
