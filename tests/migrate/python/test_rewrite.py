from __future__ import annotations

import ast

import pytest

from tenuto.migrate.python import model_argument
from tenuto.migrate.python.origins import Origins
from tenuto.migrate.python.plan import Options
from tenuto.migrate.python.rewrite import to_messages_api
from tenuto.migrate.python.uses import findings

NESTED = """\
import anthropic

c = anthropic.Anthropic(api_key="k")
H, A = "\\n\\nHuman:", "\\n\\nAssistant:"
r = c.completions.create(
    model="claude-2",
    prompt=f"{H} Improve: {c.completions.create(model='claude-2', prompt=f'{H} a{A}', \
max_tokens_to_sample=5).completion}{A}",
    max_tokens_to_sample=5,
)
print(r.completion)
"""


def test_call_in_an_f_string_that_stays_is_reported() -> None:
    result = to_messages_api(NESTED, Options())

    assert result.calls == 1
    assert result.text.count("completions.create") == 1
    assert [note.message for _, note in result.left] == [
        "the call is part of an f-string with the same quotes"
    ]


def test_scan_and_rewrite_agree_on_a_call_in_an_f_string() -> None:
    calls = [finding for finding in findings(NESTED, "a.py") if finding.code == "TC101"]

    assert [str(call.hardness) for call in calls] == ["mechanical", "by-hand"]


@pytest.mark.parametrize(
    "setup", ["load_dotenv()", "logging.getLogger('a').setLevel(10)", "sys.path.append('.')"]
)
def test_result_that_a_module_with_a_setup_returns_needs_a_look(setup: str) -> None:
    text = f"""\
import logging
import sys

import anthropic
from dotenv import load_dotenv

{setup}
c = anthropic.Client(api_key="k")


def llm(question):
    answer = c.completion(
        model="claude-2",
        prompt="\\n\\nHuman:" + question + "\\n\\nAssistant:",
        max_tokens_to_sample=5,
    )
    return answer
"""
    result = to_messages_api(text, Options())

    assert result.text == text
    assert [note.code for _, note in result.left] == ["TC301"]
    assert to_messages_api(text + "\n\nprint(llm('a'))\n", Options()).text != text


@pytest.mark.parametrize("default", ["anthropic.HUMAN_PROMPT", '"\\n\\nHuman:"'])
@pytest.mark.parametrize("kept", ["stop", "self.stop"])
def test_stop_sequence_of_a_caller_is_kept(default: str, kept: str) -> None:
    text = f"""\
import anthropic


class Model:
    def __init__(self, question, stop={default}):
        self.stop = stop
        self.text = anthropic.Anthropic(api_key="k").completions.create(
            model="claude-2",
            prompt=f"\\n\\nHuman: {{question}}\\n\\nAssistant:",
            stop_sequences=[{kept}, anthropic.HUMAN_PROMPT],
            max_tokens_to_sample=5,
        ).completion
"""
    assert f"stop_sequences=[{kept}]" in to_messages_api(text, Options()).text


def test_mark_that_a_caller_may_replace_is_not_taken_for_one() -> None:
    text = """\
import anthropic


def ask(question, human=anthropic.HUMAN_PROMPT):
    return anthropic.Anthropic(api_key="k").completions.create(
        model="claude-2",
        prompt=f"{human} {question}{anthropic.AI_PROMPT}",
        max_tokens_to_sample=5,
    ).completion
"""
    assert (
        '**to_messages(f"{human} {question}{AI_PROMPT}")' in to_messages_api(text, Options()).text
    )


def test_constants_stand_apart_from_the_imports() -> None:
    text = """\
import anthropic
import os

print(anthropic.HUMAN_PROMPT)
"""
    assert (
        to_messages_api(text, Options()).text
        == """\
import anthropic
import os

HUMAN_PROMPT = "\\n\\nHuman:"

print(HUMAN_PROMPT)
"""
    )


def test_slice_of_a_variable_that_would_cut_the_first_letter_needs_a_look() -> None:
    text = """\
import anthropic

c = anthropic.Anthropic(api_key="k")
text = c.completions.create(
    model="claude-2", prompt="\\n\\nHuman: x\\n\\nAssistant:", max_tokens_to_sample=5
).completion
print(text[1:])
"""
    safe = to_messages_api(text, Options())

    assert safe.text == text
    assert [note.code for _, note in safe.left] == ["TC301"]
    assert "TODO[TC301]" in to_messages_api(text, Options(), unsafe=True).text


def test_rewrite_lists_the_other_uses_as_left() -> None:
    program = (
        "from unittest.mock import patch\nimport anthropic\n"
        "ask = anthropic.Anthropic().completions.create\n"
        '@patch.object(anthropic.resources.Completions, "create")\n'
        "def test_it(create):\n    create.return_value = None\n"
        'URL = "https://api.anthropic.com/v1/complete"\n'
        'URL2 = "https://api.anthropic.com/v1/complete"  # tenuto-migrate: ignore\n'
    )

    result = to_messages_api(program, Options())

    assert result.text == program
    left = [(source.place(source.start(note.node))[0], note.code) for source, note in result.left]
    assert left == [(3, "TC103"), (4, "TC501"), (7, "TC401")]


@pytest.mark.parametrize(
    "lines",
    [
        'class C:\n    name = "claude-2"\nm = C()\nask(m.name)',
        'class C:\n    name: str\n    limit: int = 1\nm = C(name="claude-2")\nask(m.name)',
        'CONFIG = {"name": "claude-2", "other": 1}\nask(CONFIG["name"])',
        'p.add_argument("--the-name", default="claude-2")\na = p.parse_args([])\nask(a.the_name)',
    ],
    ids=["class", "argument", "dict", "option"],
)
def test_name_of_an_old_model_in_a_configuration_is_replaced(lines: str) -> None:
    program = (
        "import anthropic\ndef ask(m):\n    return anthropic.Anthropic().completions.create(\n"
        '        prompt="\\n\\nHuman: Hi\\n\\nAssistant:", model=m, max_tokens_to_sample=9\n'
        f"    ).completion\n{lines}\n"
    )

    new = to_messages_api(program, Options()).text

    assert "claude-2" not in new
    assert new.count("claude-haiku-4-5") == 1


def test_fields_that_give_each_other_their_values_are_followed_once() -> None:
    # Without that, the scan of these classes would take longer than a person lives.
    classes = "".join(
        f"class C{i}:\n    model: str = 'claude-2'\n\n\nc{i} = C{i}(model=c.model)\n"
        for i in range(12)
    )
    source = (
        f"import anthropic\n\n{classes}\n"
        "def ask(c):\n"
        "    return anthropic.Anthropic().completions.create(\n"
        "        model=c.model, max_tokens_to_sample=9,\n"
        "        prompt='\\n\\nHuman: Hi\\n\\nAssistant:',\n"
        "    ).completion\n"
    )
    assert to_messages_api(source, Options()).text.count("'claude-2'") == 0


def test_name_of_a_current_model_stays() -> None:
    source = (
        "import anthropic\n\nr = anthropic.Anthropic().completions.create(\n"
        "    model='claude-sonnet-5', max_tokens_to_sample=9,\n"
        "    prompt='\\n\\nHuman: Hi\\n\\nAssistant:',\n)\nprint(r.completion)\n"
    )
    text = to_messages_api(source, Options()).text
    assert "messages.create" in text
    assert "model='claude-sonnet-5'" in text


def test_client_that_may_be_one_of_another_package_needs_a_look() -> None:
    source = (
        "import anthropic\nimport openai\n\n\n"
        "def ask(prompt, vendor):\n"
        "    client = anthropic.Anthropic() if vendor == 'a' else openai.OpenAI()\n"
        "    r = client.completions.create(model='m', prompt=prompt, max_tokens_to_sample=9)\n"
        "    print(r.completion)\n"
    )
    assert to_messages_api(source, Options()).text == source
    assert "TODO[TC101]" in to_messages_api(source, Options(), unsafe=True).text


@pytest.mark.parametrize("prefill", ["{start}", "Sure"])
def test_prefill_that_the_model_refuses_needs_a_look(prefill: str) -> None:
    text = (
        "import anthropic\nr = anthropic.Anthropic().completions.create(model='claude-2', "
        "max_tokens_to_sample=9, prompt=f'\\n\\nHuman: Hi\\n\\nAssistant: " + prefill + "')\n"
    )
    options = Options(model="claude-sonnet-4-6", prefill=False)

    assert [note.code for _, note in to_messages_api(text, options).left] == ["TC203"]
    assert "TODO[TC203]" in to_messages_api(text, options, unsafe=True).text


def test_comment_on_a_moved_loop_stands_at_its_level() -> None:
    text = (
        "import anthropic\nresponse = anthropic.Client('k').completion_stream(prompt='\\n\\nHuman: "
        "Hi\\n\\nAssistant:', model='claude-v1', max_tokens_to_sample=9)\n"
        "for data in response:\n    print(data['completion'])\n"
    )

    lines = to_messages_api(text, Options(), unsafe=True).text.splitlines()

    (comment,) = [line for line in lines if "TODO[TC302]" in line]
    assert comment.startswith("    # ")


def test_constants_are_defined_behind_all_imports() -> None:
    text = (
        "from anthropic import HUMAN_PROMPT, AI_PROMPT, Anthropic\nimport os\n\n"
        "r = Anthropic().completions.create(model='claude-2', max_tokens_to_sample=9,\n"
        "    prompt=''.join([HUMAN_PROMPT, os.environ['Q'], AI_PROMPT]))\n"
    )

    assert to_messages_api(text, Options()).text.startswith(
        "from anthropic import Anthropic\nfrom tenuto.migrate import to_messages\nimport os\n\n"
        'HUMAN_PROMPT = "\\n\\nHuman:"\nAI_PROMPT = "\\n\\nAssistant:"\n\n'
    )


MODULE = """\
import anthropic
c = anthropic.Anthropic()
class Bot:
    def {name}(self):
        r = c.completions.create(
            model="claude-2", prompt="\\n\\nHuman: Hi\\n\\nAssistant:", max_tokens_to_sample=9
        )
        text = r.completion{strip}
        return {{"text": text}}
{more}"""


@pytest.mark.parametrize(
    ("name", "strip", "more", "listed"),
    [
        ("ask", "", "", True),
        ("ask", ".strip()", "", False),
        ("_ask", "", "", False),
        ("ask", "", "print(Bot().ask())\n", False),
    ],
)
def test_function_that_returns_the_text_to_other_files_is_listed(
    name: str, strip: str, more: str, listed: bool
) -> None:
    result = to_messages_api(MODULE.format(name=name, strip=strip, more=more), Options())

    assert (result.calls, result.left) == (1, [])
    messages = [note.message for _, note in result.lost]
    expected = "`ask` returns the text, without a space in front, also to other files"
    assert messages == [expected] * listed


def test_names_of_models_are_searched_once_for_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[object] = []
    search = model_argument._search_unexplained

    def counted(origins: Origins) -> list[ast.Constant]:
        searched.append(origins)
        return search(origins)

    monkeypatch.setattr(model_argument, "_search_unexplained", counted)
    asks = "".join(
        f"def ask{n}(model):\n    return c.completions.create(model=model, "
        "prompt='\\n\\nHuman: Hi\\n\\nAssistant:', max_tokens_to_sample=9).completion\n"
        for n in range(30)
    )

    found = findings(f"import anthropic\nc = anthropic.Anthropic()\nM = 'claude-2'\n{asks}", "a.py")

    assert len(searched) == 1
    assert sum(finding.code == "TC101" for finding in found) == 30
