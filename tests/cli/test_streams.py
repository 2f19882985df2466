"""Every command with standard streams that are closed, full, slow or broken, and without a home."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.on_terminal import PYTHON, environment, on_terminal
from tests.conftest import PATIENCE_S

ECHO = {"TENUTO_ENGINE_NAME": "echo"}
COMMANDS = {
    "help": ["bench", "--help"],
    "config": ["config"],
    "models": ["models", "--json"],
    "keys": ["keys", "new"],
    "complete": ["complete", "hi"],
    "complete --json": ["complete", "hi", "--json"],
}
WRONG = {
    "unknown option": ["complete", "hi", "--nope"],
    "no such model": ["complete", "hi", "--model", "nowhere.gguf"],
    "no server": ["complete", "hi", "--base-url", "http://127.0.0.1:1"],
}


def shell(
    arguments: list[str], redirection: str, folder: Path, **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a shell, with a redirection behind it."""
    engine = {} if "--model" in arguments else ECHO
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *PYTHON, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        cwd=folder,
        env=environment(folder, **engine, **more),
    )


@pytest.mark.parametrize("redirection", [">&-", "> /dev/full", "| head -c 0"])
@pytest.mark.parametrize("command", COMMANDS)
def test_unwritable_output_is_a_one_line_error(
    tmp_path: Path, command: str, redirection: str
) -> None:
    done = shell(COMMANDS[command], redirection, tmp_path)
    lines = done.stderr.decode().splitlines()
    if redirection.startswith("|"):
        # A reader that has seen enough is not a failure.
        assert (done.returncode, [line for line in lines if "tenuto:" in line]) == (0, [])
    else:
        assert done.returncode == 1
        (line,) = [line for line in lines if not line.startswith("\n") and "tenuto:" in line]
        assert "Bad file descriptor" in line or "No space left on device" in line
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full", ">&- 2>&-", "<&-"])
@pytest.mark.parametrize("command", ["complete", *WRONG])
def test_unwritable_standard_error_keeps_the_exit_code(
    tmp_path: Path, command: str, redirection: str
) -> None:
    done = shell(COMMANDS.get(command) or WRONG[command], redirection, tmp_path)
    if command in WRONG:
        assert done.returncode == (1 if command == "no server" else 2)
    else:
        assert done.returncode == (1 if redirection == ">&- 2>&-" else 0)
    assert b"Traceback" not in done.stdout + done.stderr


def test_the_embedded_engine_runs_without_standard_streams(tmp_path: Path) -> None:
    """A socket of the worker must not become standard output or standard error."""
    out = tmp_path / "out"
    done = subprocess.run(
        ["bash", "-c", '"$@" 2>&- <&- >out', "bash", *PYTHON, "complete", "hi"],
        timeout=PATIENCE_S,
        check=False,
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    assert done.returncode == 0
    assert out.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("utf8_mode", ["0", "1"])
def test_input_that_is_not_utf8_is_a_one_line_error(
    tmp_path: Path, locale: str, utf8_mode: str
) -> None:
    for arguments in (["complete"], ["keys", "hash"]):
        done = subprocess.run(
            [*PYTHON, *arguments],
            input=b"caf\xe9 caf\xe9 caf\xe9 caf\xe9",
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment(tmp_path, LC_ALL=locale, PYTHONUTF8=utf8_mode, **ECHO),
        )
        assert done.returncode == 2
        assert done.stderr == b"tenuto: standard input is not UTF-8, byte 3 (0xe9)\n"


def test_argument_that_is_not_utf8_is_a_one_line_error(tmp_path: Path) -> None:
    done = shell(["complete", os.fsdecode(b"caf\xe9")], "", tmp_path)
    assert done.returncode == 2
    assert done.stderr == b"tenuto: the prompt is not UTF-8, byte 3 (0xe9)\n"


def test_byte_order_mark_of_standard_input_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbfHello")
    (tmp_path / "wide").write_bytes("Hello".encode("utf-16"))
    assert shell(["complete"], "< marked", tmp_path).stdout.decode().strip() == "Hello"
    wide = shell(["complete"], "< wide", tmp_path)
    assert wide.stderr == b"tenuto: standard input is UTF-16; it must be UTF-8\n"


def test_unencodable_characters_are_replaced(tmp_path: Path) -> None:
    for options in ([], ["--json"]):
        arguments = ["complete", "caf\u00e9 \U0001f600", *options]
        done = shell(arguments, "", tmp_path, PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"caf? ?" in done.stdout


def test_non_blocking_pipe_gets_the_whole_output(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    text = "many words " * 20_000
    with subprocess.Popen(
        [*PYTHON, "complete", "-", "--max-tokens", "1000000"],
        stdin=subprocess.PIPE,
        stdout=writer,
        stderr=subprocess.PIPE,
        env=environment(tmp_path, **ECHO),
    ) as process:
        os.close(writer)
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(text.encode())
        process.stdin.close()
        select.select([reader], [], [], PATIENCE_S)
        # It is full now, and the program waits.
        read = b""
        while piece := os.read(reader, 1 << 16):
            read += piece
        os.close(reader)
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE_S) == 0
    assert len(read) > 65536
    assert text.startswith(read.decode().strip()[:100_000])


def test_ctrl_c_exits_while_the_output_pipe_is_full(endless_model: Path, tmp_path: Path) -> None:
    arguments = ["complete", "hi", "--model", str(endless_model), "--max-tokens", "1000000"]
    with subprocess.Popen(
        [*PYTHON, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
        pipesize=4096,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        select.select([process.stdout], [], [], PATIENCE_S)
        # The pipe is full when it takes no more. The model would write for minutes.
        before = -1
        while (now := unread(process.stdout.fileno())) > before:
            before = now
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read().strip() == b""


def unread(descriptor: int) -> int:
    import fcntl
    import struct
    import termios

    answer = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return int(struct.unpack("i", answer)[0])


@pytest.mark.parametrize("delay_s", [0.04, 0.15, 0.3, 0.5])
def test_ctrl_c_at_any_time_prints_no_traceback(tmp_path: Path, delay_s: float) -> None:
    # From our first line on: before it Python itself starts, however long that takes.
    program = (
        "import os, signal, sys, threading\n"
        "sys.argv = ['tenuto', 'complete']\n"
        "from tenuto.__main__ import run\n"
        f"threading.Timer({delay_s}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "run()\n"
    )
    stdin, held = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdin=stdin,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        env=environment(tmp_path, **ECHO),
    )
    os.close(stdin)
    os.close(held)
    assert done.returncode in (130, -signal.SIGINT)
    assert done.stderr.strip() == b""


@pytest.mark.parametrize("key", [b"\x04", b"n\r", b"\r"])
def test_unconfirmed_rm_deletes_nothing(tmp_path: Path, key: bytes) -> None:
    path = tmp_path / "tenuto" / "models" / "acme" / "x" / "m.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(10))
    code, shown = on_terminal(["rm", "acme/x"], tmp_path, key)
    assert code == (130 if key == b"\x04" else 1)
    assert "othing was deleted" in shown
    assert "Traceback" not in shown
    assert path.exists()


def test_keys_hash_prompts_for_the_key_without_echo(tmp_path: Path) -> None:
    code, shown = on_terminal(["keys", "hash"], tmp_path, b"a-long-enough-secret\r")
    assert code == 0
    assert "sha256:" in shown
    assert "secret" not in shown


def test_keys_new_labels_the_secret(tmp_path: Path) -> None:
    code, shown = on_terminal(["keys", "new"], tmp_path)
    assert code == 0
    assert shown.index("The key") < shown.index("sk-tenuto-") < shown.index("Its hash")


def test_complete_prints_the_model_on_a_terminal(tmp_path: Path) -> None:
    code, shown = on_terminal(["complete", "Hello"], tmp_path, variables=ECHO)
    assert code == 0
    assert "echo" in shown
    assert "Hello" in shown.replace("\r", "").splitlines()[-1]


@pytest.mark.parametrize(
    ("variables", "start"),
    [
        ({}, "\x1b[31mtenuto:\x1b[0m nowhere.gguf: "),
        ({"NO_COLOR": ""}, "\x1b[31mtenuto:\x1b[0m nowhere.gguf: "),
        ({"NO_COLOR": "1"}, "tenuto: nowhere.gguf: "),
        ({"TERM": "dumb"}, "tenuto: nowhere.gguf: "),
    ],
)
def test_error_is_coloured_on_a_terminal_with_colours(
    tmp_path: Path, variables: dict[str, str], start: str
) -> None:
    code, shown = on_terminal(WRONG["no such model"], tmp_path, variables=variables)
    assert code == 2
    assert shown.startswith(start)


NO_HOME = """
import os, sys, pwd
os.getuid = lambda: 2**31 - 7
sys.argv = ["tenuto", *sys.argv[1:]]
from tenuto.__main__ import run
run()
"""


@pytest.mark.parametrize("home", [None, ""])
def test_missing_home_allows_a_path_and_rejects_a_name(
    tmp_path: Path, home: str | None, endless_model: Path
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {
            k: v for k, v in environment(tmp_path).items() if k not in ("HOME", "XDG_CACHE_HOME")
        }
        return subprocess.run(
            [sys.executable, "-c", NO_HOME, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=kept if home is None else kept | {"HOME": home},
        )

    path = run("complete", "hi", "--model", str(endless_model), "--max-tokens", "2")
    assert (path.returncode, path.stderr) == (0, "")
    for arguments in (("models",), ("complete", "hi", "--model", "some-name"), ("pull", "a/b")):
        done = run(*arguments)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "TENUTO_MODELS_FOLDER, or XDG_CACHE_HOME" in done.stderr
    tilde = run("complete", "hi", "--model", "~nobody-of-this-name/m.gguf")
    assert (tilde.returncode, tilde.stderr.count("\n")) == (2, 1)
