"""Cassettes for tests, without a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenuto.cassette.file import CassetteFile
from tenuto.cassette.index import Index, scrubber_of
from tenuto.cassette.recording import Recorder, RecordingEngine, recording
from tenuto.cassette.replaying import ReplayEngine
from tenuto.core.job import Job, Piece, Sampling
from tenuto.engine.base import Engine
from tenuto.prompt.turns import human_turn, parse_prompt


def job_of(text: str = "one two three", *stops: str, most: int = 100, **fields: Any) -> Job:
    prompt = parse_prompt(human_turn(text))
    sampling = fields.pop("sampling", Sampling())
    return Job(prompt, most, sampling, "claude-2", stops, **fields)


def recorder_of(path: Path, *scrub: str, secrets: Sequence[str] = ()) -> Recorder:
    return Recorder(CassetteFile(path), scrubber_of(scrub, secrets))


def recorded_by(engine: Engine, path: Path, *scrub: str) -> tuple[RecordingEngine, Recorder]:
    recorder = recorder_of(path, *scrub)
    return recording(engine, recorder), recorder


@contextmanager
def replay_of(path: Path, *scrub: str, **more: Any) -> Iterator[ReplayEngine]:
    index = Index(path, scrubber_of(scrub))
    try:
        yield ReplayEngine(index, **more)
    finally:
        index.close()


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines() if line.strip()]


async def pieces_of(engine: Engine, job: Job) -> list[Piece]:
    return [piece async for piece in engine.generate(job)]


async def text_of(engine: Engine, job: Job) -> str:
    return "".join([piece.text for piece in await pieces_of(engine, job)])
