"""Prompts in files without a use of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tenuto.migrate.findings import Finding, Hardness
from tenuto.migrate.project_prompts import Evidence
from tenuto.migrate.python.plan import Options
from tenuto.migrate.scan import scan

OLD = "import anthropic\nanthropic.Anthropic().completions.create(prompt=load(), **more)\n"
NEW = "import anthropic\nanthropic.Anthropic().messages.create(messages=load(), **more)\n"
PROMPT = 'ASK = "\\n\\nHuman: Name a sea.\\n\\nAssistant:"\n'


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def prompts_of(folder: Path) -> list[tuple[str, int]]:
    """Return the names and lines of the prompts that a scan of a folder finds."""
    found = scan([folder], Options()).findings
    return [(str(Path(f.path).relative_to(folder)), f.line) for f in found if f.code == "TC104"]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("texts.py", PROMPT, 1),
        ("texts.ts", "export const ask = `\n\nHuman: ${text}\n\nAssistant:`;\n", 3),
        ("texts.json", '{\n "sea": "\\n\\nHuman: Name a sea.\\n\\nAssistant:"\n}\n', 2),
        ("texts.yaml", "sea: |\n\n  Human: Name a sea.\n\n  Assistant:\n", 3),
        ("texts.properties", "sea=\\n\\nHuman: Name a sea.\\n\\nAssistant:\n", 1),
        ("sea.txt", "Human: Name a sea.\n\nAssistant:", 1),
        ("sea.jinja2", "\n\nHuman: {{ text }}\n\nAssistant:\n", 3),
        ("tests/claude_test.go", 'var ask = "\\n\\nHuman: Name a sea.\\n\\nAssistant:"\n', 1),
        ("claude.py", 'ASK = "Human: Name a sea.\\nAssistant:"\n', 1),
        ("claude.ts", "export const ask = `Human: ${text}\nAssistant:`;\n", 1),
        ("begun.py", 'ASK = """Human: {text}\n\nAssistant:"""\n', 1),
        ("names.py", 'ASK = """{HUMAN_PROMPT} Name a sea.\n{AI_PROMPT}"""\n', 1),
    ],
)
def test_prompt_of_a_project_with_a_call_is_found(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    write(tmp_path, {"app/ask.py": OLD, f"prompts/{name}": text})

    assert prompts_of(tmp_path) == [(f"prompts/{name}", line)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("texts.md", PROMPT),
        ("inexact.py", 'ASK = "\\nHuman: Name a sea.\\nAssistant:"\n'),
        ("inexact.ts", "export const ask = `Human: ${text}\nAssistant:`;\n"),
        ("stop.py", 'STOP = ["\\n\\nHuman:"]\n'),
        ("chat.py", NEW + PROMPT),
        ("open.py", "import transformers\n" + PROMPT),
        ("tests/cassettes/a.yaml", "body: |\n\n  Human: a\n\n  Assistant:\n"),
        ("tests/test_texts.py", PROMPT),
        ("rows.json", '[{"prompt": "\\n\\nHuman: a\\n\\nAssistant:", "completion": "b"}]'),
        ("many.py", PROMPT * 50),
        ("task.yaml", 'doc_to_text: "\\n\\nHuman: {{text}}\\n\\nAssistant:"\ndataset: a\n'),
        ("notes.txt", "Human: a person.\nAssistant: a program.\n"),
        ("talk.txt", "\n\nHuman: a\n\nAssistant: b" * 9),
    ],
)
def test_other_texts_are_left(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, {"ask.py": OLD, f"other/{name}": text})

    assert prompts_of(tmp_path) == []


@pytest.mark.parametrize("use", [NEW, "", 'BODY = {"prompt": "", "max_tokens": 9}\n'])
def test_project_without_a_use_has_no_findings(tmp_path: Path, use: str) -> None:
    write(tmp_path, {"ask.py": use, "texts.py": PROMPT})

    assert scan([tmp_path], Options()).findings == []


def test_body_in_data_counts_beside_a_request_of_its_project(tmp_path: Path) -> None:
    write(
        tmp_path, {"simple.json": '{\n "max_tokens_to_sample": 9,\n "prompt": "Name a sea."\n}\n'}
    )
    write(tmp_path, {"form.json": '{\n "max_tokens_to_sample": {"label": "Tokens"}\n}\n'})
    assert scan([tmp_path], Options()).findings == []

    write(tmp_path, {"ask.py": OLD})
    found = scan([tmp_path], Options()).findings
    assert [(Path(f.path).name, f.line) for f in found if f.code == "TC403"] == [("simple.json", 2)]


def test_response_with_a_text_alone_counts_beside_a_request_of_its_project(tmp_path: Path) -> None:
    kept = 'type ClaudeResponse struct {\n\tCompletion string `json:"completion"`\n}\n'
    files = {
        "model/claude.go": f"package model\n\n{kept}",
        "model/other.go": f"package model\n\n{kept.replace('Claude', 'Llama')}",
        "app/claude.ts": "export interface Draft {\n  completion: string;\n}\n",
    }
    write(tmp_path, files)
    assert scan([tmp_path], Options()).findings == []

    write(tmp_path, {"ask.py": OLD})
    found = scan([tmp_path], Options()).findings
    assert [(Path(f.path).name, f.line) for f in found if f.code == "TC408"] == [("claude.go", 4)]
    assert not [f for f in found if f.path.endswith((".ts", "other.go"))]


def test_use_in_one_project_does_not_count_for_another(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "first/package.json": "{}",
            "first/app/ask.py": OLD,
            "first/texts.py": PROMPT,
            "second/.git/HEAD": "",
            "second/texts.py": PROMPT,
            "third/pyproject.toml": "",
            "third/src/texts.py": PROMPT,
        },
    )

    assert prompts_of(tmp_path) == [("first/texts.py", 1)]


def test_nearest_folder_with_a_request_decides(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "old/ask.py": OLD,
            "old/texts.py": PROMPT,
            "new/ask.py": NEW,
            "new/texts/ask.py": PROMPT,
            "shared/texts.py": PROMPT,
        },
    )

    assert prompts_of(tmp_path) == [("old/texts.py", 1), ("shared/texts.py", 1)]


def test_files_that_are_named_are_of_one_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {".git/HEAD": "", "app/ask.py": OLD, "texts/a.py": PROMPT})
    monkeypatch.chdir(tmp_path)

    found = scan([Path("texts/a.py"), Path("app/ask.py")], Options()).findings

    assert [(f.path, f.code) for f in found if f.code == "TC104"] == [("texts/a.py", "TC104")]


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    files = {f"part{n % 7}/texts{n}.py": PROMPT for n in range(520)}
    write(tmp_path, {"ask.py": OLD, **files})

    assert prompts_of(tmp_path) == sorted((name, 1) for name in files)


def test_prompts_that_wait_for_their_project_are_bounded() -> None:
    found = Evidence()
    prompt = Finding("a.py", 0, 1, 1, "TC104", Hardness.BY_HAND, "a prompt", "roles")
    for _ in range(300):
        found.add(Evidence([prompt] * 40))

    assert len(found.pending) == 10_000


def test_short_names_of_constants_make_a_prompt(tmp_path: Path) -> None:
    names = "import anthropic\nH, A = anthropic.HUMAN_PROMPT, anthropic.AI_PROMPT\n"
    write(tmp_path, {"ask.py": OLD, "texts.py": names + 'ASK = H + " Name a sea." + A\n'})

    assert prompts_of(tmp_path) == [("texts.py", 2), ("texts.py", 3)]


def test_response_of_a_project_with_a_call_is_found(tmp_path: Path) -> None:
    answer = "class ClaudeAnswer\n{\n    public string? Completion { get; set; }\n}\n"
    write(tmp_path, {"ask.py": OLD, "Models/ClaudeAnswer.cs": answer})

    found = {(Path(f.path).name, f.line) for f in scan([tmp_path], Options()).findings}
    assert found == {("ClaudeAnswer.cs", 3), ("ask.py", 2)}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("body.py", 'def body(t):\n    return {"prompt": t, "max_tokens_to_sample": 9}\n', 2),
        ("body.rs", "struct Body {\n    prompt: String,\n    max_tokens_to_sample: u32,\n}\n", 3),
    ],
)
def test_body_in_a_file_without_the_name_counts_by_its_project(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    write(tmp_path, {name: text})
    assert scan([tmp_path], Options()).findings == []

    write(tmp_path, {"ask.py": OLD})

    found = {(Path(f.path).name, f.line) for f in scan([tmp_path], Options()).findings}
    assert found == {(name, line), ("ask.py", 2)}


def test_body_beside_another_vendor_does_not_count(tmp_path: Path) -> None:
    body = 'def body(t):  # together.ai\n    return {"prompt": t, "max_tokens_to_sample": 9}\n'
    write(tmp_path, {"body.py": "import together\n" + body, "ask.py": OLD})

    assert {Path(f.path).name for f in scan([tmp_path], Options()).findings} == {"ask.py"}


CALL_JS = """export const ask = async (body) => {
  const answer = await client.send(new InvokeModelCommand({ modelId: MODEL, body }));
  return JSON.parse(text(answer.body)).completion;
};
"""
CALL_PY = """def ask(client, body):
    answer = client.invoke_model(modelId=MODEL, body=body)
    return json.loads(answer["body"].read())["completion"]
"""
BODY = 'BODY = {"prompt": text, "max_tokens_to_sample": 9, "model": "claude-2"}\n'


@pytest.mark.parametrize(("name", "text"), [("ask.js", CALL_JS), ("ask.py", CALL_PY)])
def test_call_on_bedrock_counts_where_the_project_makes_old_bodies(
    tmp_path: Path, name: str, text: str
) -> None:
    write(tmp_path, {f"src/{name}": text})
    assert scan([tmp_path], Options()).findings == []

    write(tmp_path, {"src/body.py": BODY})

    found = [(Path(f.path).name, f.line, f.code) for f in scan([tmp_path], Options()).findings]
    assert found == [(name, 2, "TC402"), ("body.py", 1, "TC401")]


def test_call_on_bedrock_with_messages_does_not_count(tmp_path: Path) -> None:
    write(tmp_path, {"src/ask.js": f"// messages\nconst m = {{ messages }};\n{CALL_JS}"})
    write(tmp_path, {"src/body.py": BODY})

    assert [Path(f.path).name for f in scan([tmp_path], Options()).findings] == ["body.py"]
