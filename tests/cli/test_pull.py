"""`tenuto pull`, `models` and `rm` as programs, with a hub on this machine."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenuto.engine.local.model_file import built_in_model
from tests.conftest import PATIENCE_S
from tests.models.hub_server import SIGNATURE, HubRepo, HubServer, hub_server
from tests.split_files import split

CONTENT = built_in_model().read_bytes()
TOKEN = "hf_a-token-that-nobody-may-see"


@dataclass
class Bench:
    """A hub, a folder for models, and the program between them."""

    hub: HubServer
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TENUTO_"))}
        return kept | {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.folder / "hf"),
            "TENUTO_MODELS_FOLDER": str(self.models),
            "NO_PROXY": "localhost,127.0.0.1",
            **more,
        }

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tenuto", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            cwd=self.folder,
            env=self.environment(**environment),
        )
        for secret in (TOKEN, SIGNATURE, "Traceback"):
            assert secret not in done.stdout + done.stderr
        return done

    def files(self) -> list[Path]:
        return sorted(path for path in self.models.rglob("*") if path.is_file())

    def fails(self, *arguments: str, code: int, reason: str, **environment: str) -> None:
        done = self.run(*arguments, **environment)
        assert (done.returncode, done.stdout) == (code, "")
        last = done.stderr.splitlines()[-1]
        assert last.startswith("tenuto: ")
        assert re.search(reason, last), last


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with hub_server() as hub:
        hub.repos["org/mini-GGUF"] = HubRepo({"mini-Q8_0.gguf": CONTENT, "README.md": b"read"})
        yield Bench(hub, tmp_path)


def test_a_model_is_pulled_listed_run_and_removed(bench: Bench) -> None:
    pulled = bench.run("pull", "org/mini-GGUF:q8_0")
    assert pulled.returncode == 0
    path = Path(pulled.stdout.strip())
    assert path == bench.models / "org" / "mini-GGUF" / "mini-Q8_0.gguf"
    assert path.read_bytes() == CONTENT
    assert pulled.stderr == "Downloading org/mini-GGUF:mini-Q8_0.gguf (3.5 MB).\n"
    assert bench.files() == [path]

    mini, listed = json.loads(bench.run("models", "--json").stdout)
    assert mini["name"] == "tenuto-mini"
    assert listed["name"] == "org/mini-GGUF:mini-Q8_0.gguf"
    assert listed["size_bytes"] == len(CONTENT)
    assert listed["path"] == str(path)
    for key in ("architecture", "quantisation", "context_length", "runtime"):
        assert listed[key] == mini[key]

    text = bench.run("complete", "--model", "mini-Q8_0", "--raw", "Once", "--max-tokens", "4")
    assert (text.returncode, text.stderr) == (0, "")

    assert bench.run("rm", "org/mini-GGUF", "--yes").returncode == 0
    assert bench.files() == []


def test_a_split_model_is_pulled_listed_and_run(bench: Bench) -> None:
    parts = split(built_in_model(), bench.folder / "plain", "mini-Q8_0", max_tensors=20)
    bench.hub.repos["org/split-GGUF"] = HubRepo({part.name: part.read_bytes() for part in parts})
    pulled = bench.run("pull", "org/split-GGUF")
    assert (pulled.returncode, pulled.stderr.count("\n")) == (0, 1)
    assert pulled.stdout.strip().endswith("mini-Q8_0-00001-of-00003.gguf")

    mini, listed = json.loads(bench.run("models", "--json").stdout)
    for key in ("architecture", "quantisation", "context_length", "reason"):
        assert listed[key] == mini[key]
    text = bench.run("complete", "--model", "mini-Q8_0", "--raw", "Once", "--max-tokens", "4")
    assert (text.returncode, text.stderr) == (0, "")

    Path(pulled.stdout.strip()).with_name("mini-Q8_0-00002-of-00003.gguf").write_bytes(CONTENT)
    (_, listed) = json.loads(bench.run("models", "--json").stdout)
    assert listed["reason"].startswith("its part mini-Q8_0-00002-of-00003.gguf: metadata split.no")


def test_second_pull_downloads_nothing(bench: Bench) -> None:
    bench.run("pull", "org/mini-GGUF")
    before = len(bench.hub.of_content())
    again = bench.run("pull", "hf:org/mini-GGUF")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.strip().endswith("mini-Q8_0.gguf")
    assert len(bench.hub.of_content()) == before


def test_a_model_of_the_hub_is_downloaded_once_for_complete(bench: Bench) -> None:
    options = ("--model", "hf:org/mini-GGUF:Q8_0", "--raw", "--max-tokens", "3", "Once")
    first = bench.run("complete", *options)
    assert (first.returncode, "Downloading" in first.stderr) == (0, True)
    requested = len(bench.hub.requests)
    second = bench.run("complete", *options)
    assert (second.returncode, second.stderr) == (0, "")
    assert len(bench.hub.requests) == requested


def test_serve_reads_the_model_from_the_environment(bench: Bench) -> None:
    bench.fails(
        "serve", code=2, reason="no such repository", TENUTO_ENGINE_LOCAL_MODEL="hf:org/none"
    )


def test_settings_file_sets_the_model_and_the_folder(bench: Bench) -> None:
    (bench.folder / "tenuto.toml").write_text(
        '[engine.local]\nmodel = "hf:org/none"\n[models]\nfolder = "kept"\n', encoding="utf-8"
    )
    bench.fails("serve", code=2, reason="org/none: the hub has no such repository")
    environment = bench.environment()
    del environment["TENUTO_MODELS_FOLDER"]
    done = subprocess.run(
        [sys.executable, "-m", "tenuto", "pull", "org/mini-GGUF"],
        *(), capture_output=True, text=True, check=True, cwd=bench.folder, env=environment,
    )  # fmt: skip
    assert (bench.folder / "kept" / "org" / "mini-GGUF" / "mini-Q8_0.gguf").exists()
    assert done.returncode == 0


def test_broken_download_resumes_at_its_offset(bench: Bench) -> None:
    bench.hub.break_after = [1_000_000, 500_000]
    done = bench.run("pull", "org/mini-GGUF")
    assert done.returncode == 0
    assert Path(done.stdout.strip()).read_bytes() == CONTENT
    requested = [request.range for request in bench.hub.of_content()]
    assert requested == [None, "bytes=1000000-", "bytes=1500000-"]


def test_hub_without_ranges_restarts_the_download(bench: Bench) -> None:
    bench.hub.break_after = [1_000_000]
    bench.hub.ignore_range = True
    done = bench.run("pull", "org/mini-GGUF")
    assert Path(done.stdout.strip()).read_bytes() == CONTENT


def test_overloaded_hub_is_retried(bench: Bench) -> None:
    bench.hub.statuses = [503, 429]
    assert bench.run("pull", "org/mini-GGUF").returncode == 0


def test_ctrl_c_keeps_the_partial_file_and_the_next_pull_resumes(bench: Bench) -> None:
    bench.hub.stall_after = 1_000_000
    command = [sys.executable, "-m", "tenuto", "pull", "org/mini-GGUF"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=bench.environment(),
        cwd=bench.folder,
    ) as process:
        deadline = time.monotonic() + PATIENCE_S
        while sum(path.stat().st_size for path in bench.files()) < 900_000:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (130, "")
    assert "The downloaded part is kept" in err
    assert "Traceback" not in err

    (part,) = bench.files()
    here = part.stat().st_size
    assert "none: not complete; tenuto pull org/mini-GGUF:" in bench.run("models").stdout
    bench.hub.stall_after = None
    done = bench.run("pull", "org/mini-GGUF")
    assert "(3.5 MB, 1.0 MB are here)" in done.stderr
    assert Path(done.stdout.strip()).read_bytes() == CONTENT
    assert bench.hub.of_content()[-1].range == f"bytes={here}-"


def test_checksum_mismatch_deletes_the_file(bench: Bench) -> None:
    repo = bench.hub.repos["org/mini-GGUF"]
    repo.announced["mini-Q8_0.gguf"] = CONTENT[::-1]
    bench.fails("pull", "org/mini-GGUF", code=1, reason="checksum mismatch")
    assert bench.files() == []


def test_model_larger_than_the_free_space_is_not_downloaded(bench: Bench) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 10**16

    bench.hub.repos["org/mini-GGUF"].announced["mini-Q8_0.gguf"] = Huge()
    bench.fails("pull", "org/mini-GGUF", code=1, reason="needs 10000.0 TB")
    assert bench.hub.of_content() == []


def test_token_is_read_from_the_environment_and_sent_to_the_hub_only(bench: Bench) -> None:
    bench.hub.repos["org/private"] = HubRepo({"m.gguf": CONTENT}, token=TOKEN)
    bench.fails("pull", "org/private", code=2, reason="private: .* set HF_TOKEN")
    assert bench.run("pull", "org/private", HF_TOKEN=TOKEN).returncode == 0
    stored = bench.hub.of_content()
    assert [request.host for request in stored] == ["localhost"]
    assert [request.authorization for request in stored] == [None]


def test_error_of_a_wrong_token_does_not_show_the_token(bench: Bench) -> None:
    bench.hub.repos["org/private"] = HubRepo({"m.gguf": CONTENT}, token="another")
    bench.fails("pull", "org/private", code=2, reason="HF_TOKEN", HF_TOKEN=TOKEN)


def test_error_of_a_gated_model_explains_the_terms(bench: Bench) -> None:
    bench.hub.repos["org/gated"] = HubRepo({"m.gguf": CONTENT}, gated=True)
    bench.fails("pull", "org/gated", code=1, reason="terms .* set HF_TOKEN")


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("org/none", "no such repository"),
        ("org/mini-GGUF:Q2_K", r"has no 'Q2_K'; it has: mini-Q8_0.gguf \(3.5 MB\)"),
        ("mini", "not a model on the hub; write org/repo"),
        ("org/mini-GGUF:../../etc/x.gguf", "not a model on the hub"),
        ("../..:x.gguf", "not a model on the hub"),
    ],
)
def test_invalid_model_name_is_a_one_line_error(bench: Bench, model: str, reason: str) -> None:
    bench.fails("pull", model, code=2, reason=reason)


def test_file_names_outside_the_folder_are_ignored(bench: Bench) -> None:
    bench.hub.repos["org/evil"] = HubRepo(
        {"../../../evil.gguf": CONTENT, "/tmp/evil.gguf": CONTENT}
    )
    bench.fails("pull", "org/evil", code=2, reason="holds no GGUF file")
    assert list(bench.folder.rglob("evil*")) == []


def test_unreachable_hub_is_a_one_line_error(bench: Bench) -> None:
    reason = "the hub cannot be reached .* HF_ENDPOINT"
    bench.fails("pull", "org/mini-GGUF", code=1, reason=reason, HF_ENDPOINT="http://127.0.0.1:1")
    bench.fails("pull", "org/mini-GGUF", code=1, reason=reason, HF_ENDPOINT="nonsense")
    bench.fails("pull", "org/mini-GGUF", code=1, reason="HF_HUB_OFFLINE", HF_HUB_OFFLINE="1")


def test_downloaded_file_that_is_not_a_model_is_an_error(bench: Bench) -> None:
    bench.hub.repos["org/odd"] = HubRepo({"m.gguf": b"GGUF?"}, in_git=frozenset({"m.gguf"}))
    done = bench.run("pull", "org/odd")
    assert done.returncode == 1
    assert "the download is complete, but the file is truncated" in done.stderr


def test_error_of_a_missing_library_has_the_remedy(bench: Bench) -> None:
    blocked = bench.folder / "blocked"
    blocked.mkdir()
    (blocked / "huggingface_hub.py").write_text("raise ImportError(name=__name__)", "utf-8")
    reason = r"huggingface_hub is missing\); install .*: pip install '\.\[hub\]'"
    bench.fails("pull", "org/mini-GGUF", code=1, reason=reason, PYTHONPATH=str(blocked))


def test_progress_bar_is_drawn_only_on_a_terminal(bench: Bench) -> None:
    controller, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "tenuto", "pull", "org/mini-GGUF"],
            stdout=subprocess.PIPE, stderr=terminal, env=bench.environment(TERM="xterm"),
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.read().endswith(b"mini-Q8_0.gguf\n")
        shown = os.read(controller, 1 << 16).decode()
    finally:
        os.close(controller)
        os.close(terminal)
    assert "MB/s" in shown
    assert "3.5/3.5 MB" in shown


def test_models_prints_a_table_with_the_reason_of_unusable_models(bench: Bench) -> None:
    path = bench.models / "org" / "odd" / "odd.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:1000])
    (path.parent / f"half-Q4_0.gguf.{'0' * 12}.part").write_bytes(bytes(1500))
    header, *rows = bench.run("models").stdout.splitlines()
    assert header.split() == ["NAME", "SIZE", "ARCHITECTURE", "QUANTISATION", "CONTEXT", "RUNTIME"]
    mini, half, odd = sorted(rows, key=lambda row: "odd.gguf" in row)
    assert re.match(r"tenuto-mini +3\.5 MB +llama +Q8_0 +2,048 +\S+; small file$", mini)
    assert "1.5 kB" in half
    assert half.endswith("none: not complete; tenuto pull org/odd:half-Q4_0.gguf")
    assert odd.endswith("none: the file is truncated: it ends within its header")


def test_rm_requires_yes_without_a_terminal(bench: Bench) -> None:
    path = bench.models / "org" / "repo" / "m.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(2000))
    bench.fails("rm", "m", code=2, reason=r"Delete org/repo:m.gguf \(2.0 kB\)\? .*--yes")
    bench.fails("rm", "none", code=2, reason="no downloaded model of this name")
    bench.fails("rm", "tenuto-mini", "-y", code=2, reason="no downloaded model of this name")
    assert path.exists()
    assert bench.run("rm", "m", "-y").stderr == "Deleted org/repo:m.gguf (2.0 kB).\n"
    assert not path.exists()
