from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenuto.cli.main import main
from tenuto.migrate.fix import Change
from tests.conftest import PATIENCE_S

PROGRAM = """\
import anthropic

client = anthropic.Anthropic()
response = client.completions.create(
    model="claude-2",
    prompt=f"{anthropic.HUMAN_PROMPT} Hello{anthropic.AI_PROMPT}",
    max_tokens_to_sample=100,
    temperature=0.5,
)
print(response.completion)
"""
BARE = PROGRAM.replace(
    'f"{anthropic.HUMAN_PROMPT} Hello{anthropic.AI_PROMPT}"', '"Tell me a joke."'
)
Output = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(PROGRAM)
    return tmp_path


def git(*arguments: str) -> None:
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull}
    names |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", *arguments], check=True, capture_output=True, env=os.environ | names)


def scanned(capsys: Output, *arguments: str) -> Any:
    main(["migrate", "scan", *arguments, "--format", "json"])
    return json.loads(capsys.readouterr().out)


def test_scan_without_findings_has_exit_code_0(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "a.py").write_text("import anthropic\n")

    assert main(["migrate", "scan", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "No use of the Text Completions API in 1 file.\n"


def test_scan_with_findings_has_exit_code_1(folder: Path, capsys: Output) -> None:
    assert main(["migrate", "scan", "."]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("app.py:4:12: TC101 mechanical: ")
    assert lines[-1] == "Ready: 1 of 1 call of the Python SDK."


def test_scan_that_fails_by_hand_alone_accepts_mechanical_ones(folder: Path) -> None:
    assert main(["migrate", "scan", ".", "--fail-on", "by-hand"]) == 0
    (folder / "ask.sh").write_text("curl https://api.anthropic.com/v1/complete\n")
    assert main(["migrate", "scan", ".", "--fail-on", "by-hand"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "missing"],
        ["scan"],
        ["scan", ".", "--format", "xml"],
        ["fix", "."],
        ["fix", "missing"],
    ],
)
def test_wrong_use_has_exit_code_2(folder: Path, arguments: list[str]) -> None:
    assert main(["migrate", *arguments]) == 2


def test_json_report_has_the_documented_fields(folder: Path, capsys: Output) -> None:
    report = scanned(capsys, ".")

    first = report["findings"][0]
    assert first == {
        "path": "app.py",
        "line": 4,
        "column": 12,
        "code": "TC101",
        "hardness": "mechanical",
        "message": "call of the Text Completions API",
        "remedy": "`tenuto migrate fix --to messages` rewrites it",
    }
    assert report["summary"] == {
        "files": 1,
        "files_with_findings": 1,
        "findings": len(report["findings"]),
        "mechanical": len(report["findings"]),
        "review": 0,
        "by-hand": 0,
        "calls": 1,
        "ready": 1,
    }


def test_github_report_has_an_annotation_for_each_finding(folder: Path, capsys: Output) -> None:
    main(["migrate", "scan", ".", "--format", "github"])

    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("::notice file=app.py,line=4,col=12,title=TC101 mechanical::")


def test_sarif_report_names_rules_and_places(folder: Path, capsys: Output) -> None:
    main(["migrate", "scan", ".", "--format", "sarif"])

    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} >= {"TC101"}
    assert run["results"][0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "app.py"},
        "region": {"startLine": 4, "startColumn": 12},
    }


def test_ignored_files_are_left_out(folder: Path, capsys: Output) -> None:
    git("init", "-q")
    (folder / ".gitignore").write_text("/build/\n*.gen.py\n")
    inner = folder / "src"
    inner.mkdir()
    (inner / ".gitignore").write_text("local.py\n!kept.gen.py\n")
    for name in (
        "build/a.py",
        "src/a.gen.py",
        "src/local.py",
        "src/kept.gen.py",
        "node_modules/a.py",
        "env/Lib/site-packages/a.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(PROGRAM)

    assert {f["path"] for f in scanned(capsys, ".")["findings"]} == {"app.py", "src/kept.gen.py"}
    # The rules above the folder apply as well.
    assert {f["path"] for f in scanned(capsys, "src")["findings"]} == {"src/kept.gen.py"}


def test_file_that_cannot_be_parsed_is_a_finding(folder: Path, capsys: Output) -> None:
    (folder / "app.py").write_text("from anthropic import HUMAN_PROMPT\nprint 'x'\n")
    (folder / "other.py").write_text("import anthropic\nprint 'x'\n")

    (folder / "words.py").write_text("print 'x', anthropic.completions\n")

    found = scanned(capsys, ".")["findings"]
    assert [(f["path"], f["code"], f["line"]) for f in found] == [
        ("app.py", "TC104", 1),
        ("words.py", "TC001", 1),
    ]
    assert "the file cannot be parsed" in found[0]["remedy"]
    assert "(line 2)" in found[0]["remedy"]


def test_pin_is_found_beside_uses_only(folder: Path, capsys: Output) -> None:
    (folder / "requirements.txt").write_text("anthropic==0.3.11\n")
    assert "TC411" in {f["code"] for f in scanned(capsys, ".")["findings"]}

    (folder / "app.py").unlink()
    assert scanned(capsys, ".")["findings"] == []


def test_report_has_no_text_of_prompts(folder: Path, capsys: Output) -> None:
    (folder / "app.py").write_text(PROGRAM.replace("Hello", "sk-ant-secret"))

    for style in ("text", "json", "github", "sarif"):
        main(["migrate", "scan", ".", "--format", style])
        assert "secret" not in capsys.readouterr().out


def test_many_files_are_read_by_several_processes(folder: Path, capsys: Output) -> None:
    for number in range(600):
        (folder / f"a{number}.py").write_text("x = 1\n")

    report = scanned(capsys, ".")

    assert report["summary"]["files"] == 601
    assert {f["path"] for f in report["findings"]} == {"app.py"}


@pytest.mark.skipif(
    not Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists(),
    reason="the kernel does not list the children of a process",
)
def test_scan_that_is_ended_leaves_no_process(folder: Path) -> None:
    for number in range(3_000):
        (folder / f"app{number}.py").write_text(PROGRAM * 5)
    command = [sys.executable, "-B", "-m", "tenuto", "migrate", "scan", "."]
    scan = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S

    def until(condition: Callable[[], bool]) -> None:
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    try:
        until(lambda: len(children(scan.pid)) > 1)
        started = children(scan.pid)
        scan.terminate()
        assert scan.wait(PATIENCE_S) == -signal.SIGTERM
    finally:
        scan.kill()
        scan.wait()
    until(lambda: not any(is_running(pid) for pid in started))


def children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def is_running(pid: int) -> bool:
    """Return whether a process exists, and has not only not been waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_fix_prints_a_diff_and_changes_nothing(folder: Path, capsys: Output) -> None:
    assert main(["migrate", "fix", ".", "--to", "messages"]) == 0

    printed = capsys.readouterr()
    assert '+    messages=[{"role": "user", "content": "Hello"}],' in printed.out
    assert "app.py:8:17: TC108 mechanical: `temperature` is left out" in printed.err
    assert (folder / "app.py").read_text() == PROGRAM


def test_fix_keeps_sampling_in_extra_body(folder: Path, capsys: Output) -> None:
    main(["migrate", "fix", ".", "--to", "messages", "--sampling", "keep", "--model", "claude-x"])

    printed = capsys.readouterr().out
    assert '+    extra_body={"temperature": 0.5},' in printed
    assert '+    model="claude-x",' in printed


def test_fix_with_write_replaces_the_file(folder: Path) -> None:
    path = folder / "app.py"
    path.chmod(0o755)

    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 0

    once = path.read_text()
    assert "client.messages.create(" in once
    assert path.stat().st_mode & 0o777 == 0o755
    assert [each.name for each in folder.iterdir()] == ["app.py"]
    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 0
    assert path.read_text() == once


def test_interrupted_fix_reports_the_number_of_rewritten_files(
    folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "later.py").write_text(PROGRAM)
    write = Change.write

    def interrupted(change: Change) -> None:
        if change.path.endswith("later.py"):
            raise KeyboardInterrupt
        write(change)

    monkeypatch.setattr(Change, "write", interrupted)

    assert main(["migrate", "fix", ".", "--to", "messages", "--write", "--force"]) == 130
    assert "Stopped. 1 file rewritten; the same command" in capsys.readouterr().err
    assert (folder / "later.py").read_text() == PROGRAM


def test_fix_to_tenuto_changes_the_import_alone(folder: Path) -> None:
    assert main(["migrate", "fix", ".", "--to", "tenuto", "--write"]) == 0

    changed = (folder / "app.py").read_text()
    assert changed == PROGRAM.replace("import anthropic", "import tenuto as anthropic")


def test_fix_refuses_a_dirty_git_tree(folder: Path, capsys: Output) -> None:
    git("init", "-q")
    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 2
    assert "has uncommitted changes" in capsys.readouterr().err
    assert (folder / "app.py").read_text() == PROGRAM

    git("add", ".")
    git("commit", "-qm", "all")
    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 0
    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 2
    assert main(["migrate", "fix", ".", "--to", "messages", "--write", "--force"]) == 0


def test_check_fails_while_something_can_be_rewritten(folder: Path, capsys: Output) -> None:
    assert main(["migrate", "fix", ".", "--to", "messages", "--check"]) == 1
    assert capsys.readouterr().out == ""
    main(["migrate", "fix", ".", "--to", "messages", "--write"])
    assert main(["migrate", "fix", ".", "--to", "messages", "--check"]) == 0


def test_unsafe_rewrite_leaves_a_todo_that_check_fails_on(folder: Path, capsys: Output) -> None:
    path = folder / "app.py"
    path.write_text(BARE)
    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 1
    assert path.read_text() == BARE
    assert "app.py:6:12: TC201 review" in capsys.readouterr().err

    assert main(["migrate", "fix", ".", "--to", "messages", "--write", "--unsafe"]) == 0
    assert "# tenuto-migrate: TODO[TC201] the prompt has no turns" in path.read_text()
    assert main(["migrate", "fix", ".", "--to", "messages", "--check"]) == 1

    text = [line for line in path.read_text().splitlines(True) if "TODO" not in line]
    path.write_text("".join(text))
    assert main(["migrate", "fix", ".", "--to", "messages", "--check"]) == 0


@pytest.mark.parametrize(
    "data",
    [
        PROGRAM.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + PROGRAM.encode(),
        ("# -*- coding: latin-1 -*-\n# \xfc\n" + PROGRAM).encode("latin-1"),
        PROGRAM.rstrip("\n").encode(),
    ],
    ids=["CRLF", "byte order mark", "latin-1", "no line end"],
)
def test_fix_keeps_encoding_and_line_ends(folder: Path, data: bytes) -> None:
    path = folder / "app.py"
    path.write_bytes(data)

    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 0

    after = path.read_bytes()
    assert b"messages.create" in after
    assert after.count(b"\r\n") == (after.count(b"\n") if b"\r\n" in data else 0)
    assert after[:3] == data[:3]
    assert (b"\xfc" in after) == (b"\xfc" in data)
    assert after.endswith(b"\n") == data.endswith(b"\n")


def test_fix_leaves_a_file_that_cannot_be_parsed(folder: Path, capsys: Output) -> None:
    path = folder / "app.py"
    path.write_text(text := "from anthropic import HUMAN_PROMPT\nprint 'x'\n")

    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 1
    assert path.read_text() == text
    assert "TC001" in capsys.readouterr().err


def test_fix_of_a_notebook_keeps_magics_and_outputs(folder: Path) -> None:
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title"]},
        cell("%pip install anthropic\n", "import anthropic\n", "c = anthropic.Anthropic()"),
        cell("%%bash\n", "echo c.completions.create"),
        cell(
            'r = c.completions.create(model="claude-2", max_tokens_to_sample=9,\n',
            '    prompt="\\n\\nHuman: Hi\\n\\nAssistant:")\n',
            "if r:\n",
            "    !ls\n",
            "r.completion",
        ),
    ]
    path = folder / "a.ipynb"
    text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}, indent=1) + "\n"
    path.write_text(text)
    (folder / "app.py").unlink()

    assert main(["migrate", "fix", ".", "--to", "messages", "--write"]) == 0

    new = json.loads(path.read_text())["cells"]
    assert new[:3] == cells[:3]
    assert new[3]["outputs"] == cells[3]["outputs"]
    assert new[3]["source"] == [
        'r = c.messages.create(model="claude-haiku-4-5", max_tokens=9,\n',
        '    messages=[{"role": "user", "content": "Hi"}])\n',
        "if r:\n",
        "    !ls\n",
        '"".join(block.text for block in r.content if block.type == "text")',
    ]
    changed = set(path.read_text().splitlines()) - set(text.splitlines())
    assert len(changed) == 3


def cell(*source: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["ü"]}],
        "source": list(source),
    }


def test_prompts_become_messages(folder: Path, capsys: Output) -> None:
    rows = [
        {"id": 1, "prompt": "Be brief.\n\nHuman: Hi\n\nAssistant:", "max_tokens_to_sample": 9},
        {"id": 2, "prompt": "\n\nHuman: Hi\n\nAssistant: {", "temperature": 0},
    ]
    (folder / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    assert main(["migrate", "prompts", "in.jsonl", "out.jsonl"]) == 0

    lines = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "id": 1,
            "max_tokens": 9,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Hi"}],
        },
        {
            "id": 2,
            "messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "{"},
            ],
        },
    ]
    assert "in.jsonl:1: the text before the first turn" in capsys.readouterr().err


def test_invalid_prompts_are_named_and_have_exit_code_1(folder: Path, capsys: Output) -> None:
    (folder / "in.jsonl").write_text('"\\n\\nHuman: Hi\\n\\nAssistant:"\n"secret"\n{bad\n')

    assert main(["migrate", "prompts", "in.jsonl"]) == 1

    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert "in.jsonl:2: invalid: prompt must start with" in printed.err
    assert "in.jsonl:3: invalid: not JSON" in printed.err
    assert "secret" not in printed.err


def test_prefill_for_a_model_that_refuses_it_is_invalid(folder: Path, capsys: Output) -> None:
    (folder / "a.txt").write_text("\n\nHuman: Hi\n\nAssistant: {")

    assert main(["migrate", "prompts", "a.txt", "--model", "claude-opus-4-7"]) == 1
    assert "ends with a prefill, which claude-opus-4-7 refuses" in capsys.readouterr().err


def test_column_of_a_table_is_converted(folder: Path, capsys: Output) -> None:
    (folder / "a.csv").write_text('id,text\n7,"\n\nHuman: Hi\n\nAssistant:"\n')

    assert main(["migrate", "prompts", "a.csv", "--column", "text"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "id": "7",
        "messages": [{"role": "user", "content": "Hi"}],
    }
    assert main(["migrate", "prompts", "a.csv"]) == 2
    assert "has no column `prompt`; its columns: id, text" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["in.jsonl", "other.jsonl"])
def test_prompts_are_not_written_over_a_file(folder: Path, capsys: Output, target: str) -> None:
    line = '"\\n\\nHuman: Hi\\n\\nAssistant:"\n'
    for name in ("in.jsonl", "other.jsonl"):
        (folder / name).write_text(line)

    assert main(["migrate", "prompts", "in.jsonl", target]) == 2
    assert f"{target}: exists; write into a new file" in capsys.readouterr().err
    assert (folder / target).read_text() == line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.jsonl"], "no.jsonl: No such file or directory"),
        (["."], ".: Is a directory"),
        (["in.jsonl", "no/out.jsonl"], "no/out.jsonl: No such file or directory"),
        (["in.jsonl", "/dev/full"], "/dev/full: No space left on device"),
        (["in.jsonl", "one", "--out", "two"], "--out: OUT is given as an argument, too"),
        (["latin.txt"], "latin.txt: is not UTF-8; convert it"),
    ],
)
def test_file_of_prompts_that_cannot_be_used_is_named(
    folder: Path, capsys: Output, arguments: list[str], message: str
) -> None:
    (folder / "in.jsonl").write_text('"\\n\\nHuman: Hi\\n\\nAssistant:"\n')
    (folder / "latin.txt").write_bytes("Grüße".encode("latin-1"))

    assert main(["migrate", "prompts", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "one").exists()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("out.jsonl", ["prompts", "in.jsonl", "out.jsonl"]),
        ("app.py", ["fix", "app.py", "--to", "messages", "--write", "--force"]),
    ],
)
def test_file_that_cannot_be_written_whole_is_named_and_no_part_stays(
    folder: Path, name: str, arguments: list[str]
) -> None:
    (folder / "in.jsonl").write_text('"\\n\\nHuman: Hi\\n\\nAssistant:"\n')
    before = sorted(folder.iterdir())

    run = subprocess.run(
        [sys.executable, "-B", "-m", "tenuto", "migrate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)),
    )

    assert run.returncode in (1, 2)
    assert f"tenuto: {name}: File too large" in run.stderr
    assert sorted(folder.iterdir()) == before
    assert (folder / "app.py").read_text() == PROGRAM


def test_cells_of_a_table_get_the_types_of_the_api(folder: Path, capsys: Output) -> None:
    turns = '"\n\nHuman: Hi\n\nAssistant:"'
    (folder / "a.csv").write_text(
        "prompt,max_tokens_to_sample,temperature,stop_sequences\n"
        f'{turns},9,0.5,"[""END""]"\n{turns},,,END\n{turns},many,,\n'
    )

    assert main(["migrate", "prompts", "a.csv", "--sampling", "keep"]) == 1

    printed = capsys.readouterr()
    messages = [{"role": "user", "content": "Hi"}]
    assert [json.loads(line) for line in printed.out.splitlines()] == [
        {"max_tokens": 9, "temperature": 0.5, "stop_sequences": ["END"], "messages": messages},
        {"stop_sequences": ["END"], "messages": messages},
    ]
    assert "a.csv:12: invalid: `max_tokens_to_sample` is not a number" in printed.err


def test_each_remark_on_a_prompt_is_one_line(folder: Path, capsys: Output) -> None:
    (folder / "in.jsonl").write_text('"no turns"\n')

    assert main(["migrate", "prompts", "in.jsonl"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", '"\\ud800"'),
        ("stop_sequences", "5"),
        ("stop_sequences", "null"),
        ("max_tokens_to_sample", '"\u00b2"'),
        ("max_tokens_to_sample", "null"),
    ],
)
def test_odd_fields_of_a_row_are_passed_on(
    folder: Path, capsys: Output, field: str, value: str
) -> None:
    prompt = '"\\n\\nHuman: Hi\\n\\nAssistant:"'
    (folder / "in.jsonl").write_text(f'{{"prompt": {prompt}, "{field}": {value}}}\n')

    assert main(["migrate", "prompts", "in.jsonl"]) == 0

    row = json.loads(capsys.readouterr().out)
    new = {"max_tokens_to_sample": "max_tokens"}.get(field, field)
    assert row.pop("messages") == [{"role": "user", "content": "Hi"}]
    assert row == {new: json.loads(value)}


def test_long_cells_and_rows_of_other_lengths_in_a_table(folder: Path, capsys: Output) -> None:
    turns = f"\n\nHuman: {'a' * 200_000}\n\nAssistant:"
    (folder / "a.csv").write_text(f'id,prompt\n1,"{turns}"\n2,"{turns}",more\n3\n')

    assert main(["migrate", "prompts", "a.csv"]) == 1

    printed = capsys.readouterr()
    assert [json.loads(line)["id"] for line in printed.out.splitlines()] == ["1"]
    assert "a.csv:7: invalid: the row has more cells than the first one" in printed.err
    assert "a.csv:12: invalid: prompt must start with" in printed.err


def test_number_that_is_not_json_makes_a_row_invalid(folder: Path, capsys: Output) -> None:
    (folder / "in.jsonl").write_text('{"prompt": "\\n\\nHuman: Hi\\n\\nAssistant:", "x": NaN}\n')

    assert main(["migrate", "prompts", "in.jsonl"]) == 1
    assert "NaN is not a number in JSON" in capsys.readouterr().err


def test_functions_of_the_project_are_not_findings(folder: Path, capsys: Output) -> None:
    """The module that defines the function has the finding."""
    program = (
        "from tools.ask import ask_claude\n"
        'print(ask_claude(prompt="\\n\\nHuman: Hi\\n\\nAssistant:", max_tokens_to_sample=9))\n'
    )
    (folder / "app.py").write_text(program, encoding="utf-8")
    assert [f["code"] for f in scanned(capsys, ".")["findings"]] == ["TC103"]
    (folder / "tools").mkdir()
    (folder / "tools" / "ask.py").write_text("def ask_claude(**given): ...\n", encoding="utf-8")
    assert scanned(capsys, ".")["findings"] == []


def test_ignored_files_that_git_has_are_read(folder: Path, capsys: Output) -> None:
    (folder / ".gitignore").write_text("app.py\nother.py\n")
    (folder / "other.py").write_text(PROGRAM)
    git("init", "-q")
    git("add", "-f", "app.py")
    assert {f["path"] for f in scanned(capsys, ".")["findings"]} == {"app.py"}
