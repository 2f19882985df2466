"""`tenuto tune`: what it prints, and what it keeps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tenuto.bench import engine_load
from tenuto.bench.candidates import PREFILL, Candidate, Measured
from tenuto.cli import tune
from tenuto.cli.main import main
from tenuto.engine.base import Engine
from tenuto.engine.local import tunable
from tenuto.engine.local.cpu import X86, Cpu
from tenuto.engine.local.model_file import built_in_model
from tenuto.engine.local.runtime import TunedChoice
from tenuto.engine.registry import tuning
from tenuto.service import tunings_folder
from tenuto.settings import Settings
from tests.conftest import PATIENCE_S

RATES = {
    ("openvino", 2): {PREFILL: 150.0, 1: 25.0, 8: 60.0},
    ("openvino", 1): {PREFILL: 90.0, 1: 15.0, 8: 40.0},
    ("llamacpp", 2): {PREFILL: 132.0, 1: 36.0, 8: 84.0, 32: 1234.0},
    ("llamacpp", 1): {PREFILL: 70.0},
}


@pytest.fixture(autouse=True)
def two_runtimes_on_two_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xllamacpp")
    pytest.importorskip("openvino_genai")
    monkeypatch.setattr(tunable, "cpu", lambda: Cpu(X86, frozenset({"avx2"}), "AMD EPYC", 2))
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 0.1, 0.1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def measurements(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Candidate, list[int], float]]:
    """Replace the measurement; return the arguments of each, in order."""
    seen: list[tuple[Candidate, list[int], float]] = []

    async def measure(
        candidate: Candidate,
        open_engine: Callable[[], Engine],
        shapes: Sequence[int],
        seconds: float,
        on_progress: Callable[[float], object],
    ) -> Measured:
        seen.append((candidate, list(shapes), seconds))
        on_progress(0.5)
        rates = RATES[candidate.runtime, candidate.threads]
        failure = "" if 8 in rates else "8 streams did not end within 15 s"
        return Measured(candidate, 0.52, dict(rates), failure)

    monkeypatch.setattr(engine_load, "measure", measure)
    return seen


def stored() -> TunedChoice:
    return tuning(built_in_model(), tunings_folder(Settings())).choice()


GAIN = "1.4 \N{MULTIPLICATION SIGN} OpenVINO at 8 streams"
TABLE = f"""\
tenuto tune: tenuto-mini on AMD EPYC (AVX2), 2 cores, tokens/s

   runtime    threads  load, s  prefill  1 stream  8 streams  32 streams
*  llama.cpp        2      0.5      132      36.0       84.0       1,234
   llama.cpp        1      0.5     70.0         -          -           -
   OpenVINO         2      0.5      150      25.0       60.0           -
   OpenVINO         1      0.5     90.0      15.0       40.0           -

llama.cpp, 1 thread: 8 streams did not end within 15 s
* the choice for few (prefill, 1 stream, 8 streams): llama.cpp, 2 threads, {GAIN}
"""


def test_table_marks_the_choice_and_gives_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (TABLE, "")


def test_choice_is_stored_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["tune"])
    capsys.readouterr()
    choice = stored()
    assert (choice.runtime, choice.threads) == ("llamacpp", 2)
    main(["models"])
    listed = capsys.readouterr().out
    assert f"tuned: llama.cpp, 2 threads, {GAIN}, 2" in listed
    main(["models", "--json"])
    (mini,) = json.loads(capsys.readouterr().out)
    assert mini["tuning"].startswith("tuned: llama.cpp, 2 threads, ")
    assert mini["why"].startswith("tuned on ")


@pytest.mark.parametrize(
    ("purpose", "runtime", "first"),
    [("one", "llamacpp", [PREFILL, 1]), ("many", "llamacpp", [PREFILL, 8, 32])],
)
def test_rates_of_the_purpose_decide(
    measurements: list[tuple[Candidate, list[int], float]],
    purpose: str,
    runtime: str,
    first: list[int],
) -> None:
    assert main(["tune", "--for", purpose]) == 0
    assert stored().runtime == runtime
    assert all(shapes[: len(first)] == first for _, shapes, _ in measurements)


def test_every_candidate_gets_its_share_of_the_time(
    measurements: list[tuple[Candidate, list[int], float]],
) -> None:
    main(["tune", "--time", "100"])
    # As none of them takes any time, later ones get more.
    shares = [seconds for *_, seconds in measurements]
    assert shares == pytest.approx([25, 100 / 3, 50, 100], rel=0.05)


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["for"] == "few"
    assert report["objective"] == ["prefill", "1", "8"]
    assert len(report["candidates"]) == 4
    assert report["candidates"][1] == {
        "runtime": "llamacpp",
        "threads": 1,
        "load_s": 0.52,
        "tokens_per_s": {"prefill": 70.0},
        "failure": "8 streams did not end within 15 s",
    }
    choice = report["choice"]
    assert (choice["runtime"], choice["threads"]) == ("llamacpp", 2)
    assert choice["comparison"] == GAIN


def test_narrow_terminal_gets_a_line_for_each_figure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    main(["tune"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40
    assert "* llama.cpp" in lines
    assert "    prefill            132" in lines


def test_setting_that_precedes_the_choice_is_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    measurements: list[tuple[Candidate, list[int], float]],
) -> None:
    monkeypatch.setenv("TENUTO_ENGINE_LOCAL_RUNTIME", "openvino")
    monkeypatch.setenv("TENUTO_ENGINE_LOCAL_THREADS", "2")
    main(["tune"])
    assert [str(candidate) for candidate, *_ in measurements] == [
        "llama.cpp, 2 threads",
        "OpenVINO, 2 threads",
    ]
    assert capsys.readouterr().err == (
        "The setting runtime = 'openvino' precedes the choice.\n"
        "The setting threads = 2 precedes the choice.\n"
    )


def test_busy_machine_is_noted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (1.5, 0.1, 0.1))
    main(["tune"])
    assert capsys.readouterr().err == ("The machine is busy (load 1.5): the figures may mislead.\n")


def test_without_a_measured_candidate_nothing_is_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["tune"])
    before = stored()
    for rates in RATES.values():
        monkeypatch.delitem(rates, 1, raising=False)
    assert main(["tune", "--time", "7"]) == 1
    assert stored() == before
    out, err = capsys.readouterr()
    assert "OpenVINO         2      0.5      150       60.0" in out
    assert err == ("tenuto: no candidate was measured within 7 s; --time sets a longer limit\n")


@pytest.mark.parametrize("moment", ["measurement", "write"])
def test_ctrl_c_keeps_the_tuning_before_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    main(["tune"])
    before = stored()
    capsys.readouterr()

    async def interrupted(*_: object) -> Measured:
        raise KeyboardInterrupt

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if moment == "measurement":
            patched.setattr(tune, "_measure", interrupted)
        else:
            patched.setattr(Path, "replace", interrupt)
        assert main(["tune", "--for", "one"]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", "\nStopped. Nothing was changed.\n")
    assert stored() == before


@pytest.mark.skipif(sys.platform != "linux", reason="children are found in /proc")
def test_ctrl_c_ends_the_candidate_and_the_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tenuto", "tune"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until = time.monotonic() + PATIENCE_S
        while not (workers := children.read_text().split()) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err.endswith("Stopped. Nothing was changed.\n")
    assert workers
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not (tmp_path / "tenuto" / "models" / ".tuning").exists()


def test_forget_returns_to_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    main(["tune"])
    capsys.readouterr()
    assert main(["tune", "--forget"]) == 0
    assert main(["tune", "--forget"]) == 0
    assert capsys.readouterr().err == (
        "tenuto-mini is not tuned any more.\ntenuto-mini was not tuned.\n"
    )
    assert stored().runtime == ""


def test_removed_model_leaves_no_tuning(tmp_path: Path) -> None:
    model = tmp_path / "tenuto" / "models" / "acme" / "small" / "m.gguf"
    model.parent.mkdir(parents=True)
    model.write_bytes(built_in_model().read_bytes())
    assert main(["tune", "m"]) == 0
    folder = tunings_folder(Settings())
    assert folder is not None
    assert len(list(folder.iterdir())) == 1
    assert main(["rm", "m", "--yes"]) == 0
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.gguf"], "none.gguf: there is no such file, and no downloaded model"),
        (["--time", "1"], "1.0 is out of range; allowed is 5 to 3,600"),
        (["--for", "two"], "'two' is not one of 'one', 'few', 'many'"),
    ],
)
def test_invalid_arguments_are_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["tune", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_damaged_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(built_in_model().read_bytes()[:1000])
    assert main(["tune", str(path)]) == 2
    assert "m.gguf: the file is truncated" in capsys.readouterr().err
