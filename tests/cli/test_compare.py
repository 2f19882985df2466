"""`tenuto compare`."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenuto.cli.main import main
from tests.compare.rows import line
from tests.engine.upstream import claude
from tests.engine.upstream.scripted import Received, Script, scripted_server


def words(texts: list[str]) -> str:
    return " ".join(" ".join(texts).split())


def test_run_is_reported_with_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run.jsonl"
    run.write_text("\n".join([*(line(n, error="timeout") for n in range(40)), "garbage"]))
    assert main(["compare", str(run), "--html", str(tmp_path / "report.html")]) == 0
    captured = capsys.readouterr()
    assert "claude-2: present:haiku -> candidate:x" in captured.out
    assert "candidate:x does worse" in captured.out
    assert "1 lines are not comparisons" in captured.err
    assert "candidate:x does worse" in (tmp_path / "report.html").read_text()

    assert main(["compare", str(run), "--json"]) == 0
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    assert route["verdict"]["level"] == "worse"
    assert route["b"]["errors"] == {"timeout": 40}


def test_file_of_something_else_is_refused_and_an_empty_one_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "server.log"
    other.write_text('{"event": "request"}\n')
    assert main(["compare", str(other), "--html", str(tmp_path / "report.html")]) == 2
    assert "no line of it is a comparison" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()

    # A server has made it, and compared nothing yet.
    other.write_text("")
    assert main(["compare", str(other)]) == 0
    assert "No comparisons are recorded." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a file of comparisons"),
        (["--prompts", "x"], "--prompts, --a and --b belong together"),
    ],
)
def test_wrong_use_is_explained(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 2
    assert message in capsys.readouterr().err


@dataclass
class Upstreams:
    """Two upstreams, their settings file, and the models that were requested of them."""

    config: Path
    models: list[str]


@pytest.fixture
def upstreams(tmp_path: Path) -> Iterator[Upstreams]:
    """A server of the Messages API in a thread, which answers by the name of the model."""
    models: list[str] = []

    def answer(request: Received) -> Script:
        models.append(request.body["model"])
        text = "Paris." if request.body["model"] == "first" else "It is Paris."
        return claude.answer(text, as_stream=request.body["stream"])

    started, addresses, loops = threading.Event(), list[str](), list[asyncio.AbstractEventLoop]()
    ended = asyncio.Event()

    async def serve() -> None:
        async with scripted_server() as server:
            server.answers(answer)
            addresses.append(server.url)
            loops.append(asyncio.get_running_loop())
            started.set()
            await ended.wait()
            async with asyncio.timeout(10):
                # The clients have closed their connections.
                while server.open:
                    await asyncio.sleep(0.005)

    # It also ends what is left of the connections.
    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    config = tmp_path / "tenuto.toml"
    config.write_text(
        '[engine]\nname = "routes"\n[engine.upstreams.up]\nkind = "messages"\n'
        f'base_url = "{addresses[0]}"\n[engine.upstreams.own]\nkind = "local"\n'
    )
    yield Upstreams(config, models)
    loops[0].call_soon_threadsafe(ended.set)
    thread.join(20)


def test_prompts_are_completed_by_both_and_compared(
    upstreams: Upstreams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, run = tmp_path / "prompts.jsonl", tmp_path / "run.jsonl"
    prompts.write_text(
        '{"id": "one", "prompt": "Where?"}\n{"id": "bad"}\n'
        '{"id": "two", "messages": [{"role": "user", "content": "Where?"}]}\n'
    )
    arguments = ["compare", str(run), "--prompts", str(prompts), "--a", "up:first"]
    arguments += ["--b", "up:second", "--noise", "--config", str(upstreams.config), "--json"]
    assert main(arguments) == 0

    captured = capsys.readouterr()
    assert "bad: prompt: required" in captured.err
    (route,) = json.loads(captured.out)["routes"]
    assert (route["total"], route["compared"], route["noise_compared"]) == (2, 2, 2)
    assert route["similarity"]["p50"] < 1 == route["noise"]["p50"]
    assert sorted(upstreams.models) == ["first"] * 4 + ["second"] * 2
    assert run.stat().st_mode & 0o777 == 0o600
    assert "Paris" not in run.read_text()

    # A finished run is not overwritten.
    assert main(arguments) == 2
    assert "exists" in capsys.readouterr().err


def test_texts_are_kept_on_request_alone(
    upstreams: Upstreams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, html = tmp_path / "prompts.jsonl", tmp_path / "report.html"
    prompts.write_text('{"prompt": "Where?"}\n')
    arguments = ["compare", "--prompts", str(prompts), "--a", "up:first", "--b", "up:second"]
    arguments += ["--html", str(html), "--config", str(upstreams.config)]
    assert main(arguments) == 0
    assert "Paris" not in html.read_text()
    html.chmod(0o644)
    assert main([*arguments, "--keep-texts"]) == 0
    assert "It is Paris." in html.read_text()
    assert html.stat().st_mode & 0o777 == 0o600


def test_page_without_a_place_is_refused_before_anything_is_completed(
    upstreams: Upstreams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Where?"}\n')
    arguments = ["compare", "--prompts", str(prompts), "--a", "up:first", "--b", "up:second"]
    arguments += ["--config", str(upstreams.config), "--html"]
    for place in (tmp_path / "none" / "report.html", tmp_path, prompts):
        assert main([*arguments, str(place)]) == 2
        assert "--html: " in capsys.readouterr().err
    assert upstreams.models == []
    assert prompts.read_text() == '{"prompt": "Where?"}\n'


def test_embedded_engine_is_refused_by_name(
    upstreams: Upstreams, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "Where?"}\n')
    arguments = ["compare", "--prompts", str(prompts), "--a", "up", "--config"]
    assert main([*arguments, str(upstreams.config), "--b", "own"]) == 2
    assert "--b: own is the embedded engine" in capsys.readouterr().err
    assert main([*arguments, str(upstreams.config), "--b", "none"]) == 2
    assert "--b: no [engine.upstreams.none]" in capsys.readouterr().err
