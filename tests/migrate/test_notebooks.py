"""Notebooks: what counts as Python, and what stays."""

from __future__ import annotations

import json

import pytest

from tenuto.migrate.notebooks import Notebook
from tenuto.migrate.python.plan import Options
from tenuto.migrate.scan import scan_text


def notebook(*cells: str) -> str:
    """Return a notebook with cells of code."""
    made: list[dict[str, object]] = [
        {
            "cell_type": "code",
            "metadata": {},
            "outputs": [],
            "execution_count": None,
            "source": code,
        }
        for code in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize(
    "first", ["%%time\n", "%%capture out\n", "%%timeit -n 1\n", "%pip install x\n", "files = !ls\n"]
)
def test_python_beside_a_magic_is_read_and_the_magic_stays(first: str) -> None:
    book = Notebook(notebook(f"{first}r = ask(1)"))
    source = book.source()

    assert "\nr = ask(1)\n" in source
    changed = json.loads(book.replaced(source.replace("ask(1)", "ask(2)")))
    assert "".join(changed["cells"][0]["source"]) == f"{first}r = ask(2)"


def test_cell_of_another_language_is_not_read() -> None:
    assert "\ncurl" not in Notebook(notebook("%%bash\ncurl localhost")).source()


def test_cell_that_is_written_to_a_file_of_python_is_scanned_and_not_rewritten() -> None:
    book = Notebook(notebook("%%writefile app.py\nr = ask(1)", "%%writefile app.sh\nr = ask(1)"))

    assert "\nr = ask(1)" not in book.source()
    assert book.source(written=True).count("\nr = ask(1)") == 1


def test_command_in_a_cell_is_a_finding_in_its_line() -> None:
    curl = "!curl https://api.anthropic.com/v1/complete -d @body.json"
    page = "%%markdown\ncurl https://api.anthropic.com/v1/complete"
    cells = (f"x = 1\n{curl}", "%%bash\ncurl https://api.anthropic.com/v1/complete", page)

    found = scan_text(notebook(*cells), "a.ipynb", "ipynb", Options())

    assert [(f.cell, f.line, f.code) for f in found] == [(1, 2, "TC401"), (2, 2, "TC401")]


def test_call_in_another_cell_than_its_body_is_a_finding() -> None:
    cells = (
        'body = json.dumps({"prompt": p, "max_tokens_to_sample": 9})',
        'r = bedrock.invoke_model(modelId="anthropic.claude-v2", body=body)',
    )

    found = scan_text(notebook(*cells), "a.ipynb", "ipynb", Options())

    assert [(f.cell, f.line, f.code) for f in found] == [(1, 1, "TC402"), (2, 1, "TC402")]


def test_text_that_looks_like_a_magic_stays_in_its_string() -> None:
    code = 'prompt = """\n!important\n%s\nname = %x\n"""'

    assert code in Notebook(notebook(code)).source()


OUTPUT = '"\\u001B[0;31mKeyboardInterrupt\\u001b[0m \\/ é \\u00e9"'
LINES = ['"a = \\"\\u001B\\/\\"\\n"', '"r = ask(1)\\n"', '"print(r, \\"é\\")"']


@pytest.mark.parametrize(
    "source",
    [
        "[\n  %s,\n  %s,\n  %s\n ]",
        "[%s, %s, %s]",
        "[%s,%s,%s]",
        "[\n\t%s\n\t,\n\t%s\n\t,\n\t%s]",
        "%s",
    ],
)
def test_only_the_lines_that_change_differ(source: str) -> None:
    lines = LINES if source != "%s" else [json.dumps("".join(map(json.loads, LINES)))]
    text = '{ "metadata": {"n": 1.50},\r\n"cells":[{"cell_type":"markdown"}, {"outputs": [%s], '
    text = (
        text % OUTPUT + '"cell_type": "code", "source" : ' + source % tuple(lines) + " }\n] }\n\n"
    )
    book = Notebook(text)

    assert book.replaced(book.source()) == text
    assert book.replaced(book.source().replace("ask(1)", "ask(2)")) == text.replace(
        "ask(1)", "ask(2)"
    )


def test_lines_that_are_added_have_the_style_of_the_others() -> None:
    text = '{"cells": [{"cell_type": "code", "source": [\n   "ask(1)"\n  ]}]}'
    book = Notebook(text)

    assert book.replaced(book.source().replace("ask(1)", "import a\nask(1)")) == text.replace(
        '"ask(1)"', '"import a\\n",\n   "ask(1)"'
    )
