from __future__ import annotations

import pytest

import tenuto
import tenuto.types
from tenuto.migrate.python.to_tenuto import NAMES, TYPES, to_tenuto
from tests.migrate.corpus import programs

# What Tenuto's client lacks, and results of the methods from before 0.3 that cannot be followed.
LEFT = {
    "early-stream-loop.py",
    *("import-star.py", "both-apis.py", "half-migrated.py", "count-tokens.py", "bedrock-sdk.py"),
    *("early-async.py", "early-get.py", "early-json-dump.py", "early-cumulative.py"),
    "early-cumulative-variable.py",
}


def test_to_tenuto_changes_all_programs_but_those_with_more_than_its_client() -> None:
    assert {p.name for p in programs("safe", "unsafe") if to_tenuto(p.text).left} == LEFT


def test_client_in_an_attribute_is_taken_along() -> None:
    text = "import anthropic\nclass A:\n    def f(self):\n        self.c = anthropic.Anthropic()\n"

    assert to_tenuto(text).text == text.replace("import anthropic", "import tenuto as anthropic")


def test_replaced_imports_have_the_names_that_they_import() -> None:
    assert [name for name in NAMES if not hasattr(tenuto, name)] == []
    assert [name for name in TYPES if not hasattr(tenuto.types, name)] == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("types", "Completion"),
        ("types.completion", "Completion"),
        ("types.completion_create_params", "CompletionCreateParamsNonStreaming"),
    ],
)
def test_modules_of_types_become_the_one_that_the_client_has(module: str, name: str) -> None:
    new = to_tenuto(f"from anthropic.{module} import {name}\n").text

    assert new == f"from tenuto.types import {name}\n"
    exec(new, {})


def test_resource_that_the_client_lacks_is_an_obstacle_under_any_name() -> None:
    text = "import anthropic\nm = anthropic.Anthropic().messages\nm.create()\n"

    assert [note.message for _, note in to_tenuto(text).left] == [
        "Tenuto's client has no `messages`"
    ]


@pytest.mark.parametrize(
    "line",
    [
        'patch("anthropic.Anthropic")',
        'monkeypatch.setattr("anthropic.resources.completions.Completions.create", None)',
        'patch.dict("sys.modules", {"anthropic": None})',
        'sys.modules["anthropic"] = None',
        'pytest.importorskip("anthropic")',
        'importlib.import_module("anthropic")',
    ],
)
@pytest.mark.parametrize("first", ["import anthropic\n", ""])
def test_module_that_is_replaced_by_its_name_is_reported(line: str, first: str) -> None:
    result = to_tenuto(f"{first}{line}\n")

    assert result.text == f"{first}{line}\n"
    assert [note.code for _, note in result.left] == ["TC501"]


def test_other_texts_are_ignored() -> None:
    text = 'import anthropic\nlogging.getLogger("anthropic")\npatch("app.anthropic.Anthropic")\n'

    assert not to_tenuto(text).left


EARLY = "import anthropic\nr = (anthropic.Client('k').completion(prompt=p))['{key}']\n"


def test_field_of_a_result_in_brackets_becomes_an_attribute() -> None:
    assert to_tenuto(EARLY.format(key="completion")).text.endswith("(prompt=p)).completion\n")


def test_field_that_no_result_has_is_an_obstacle() -> None:
    result = to_tenuto(EARLY.format(key="c)ompletion"))

    assert result.text == EARLY.format(key="c)ompletion")
    assert [note.code for _, note in result.left] == ["TC301"]


def test_arguments_without_names_get_the_names_that_the_client_has() -> None:
    text = "import anthropic\nc = anthropic.Client(key, 'http://127.0.0.1')\n"

    assert to_tenuto(text).text.endswith("Client(api_key=key, base_url='http://127.0.0.1')\n")


def test_arguments_that_cannot_be_named_leave_the_source_as_it_is() -> None:
    text = "import anthropic\nc = anthropic.Client(a, b, c)\nd = anthropic.Client(a, api_key=b)\n"

    assert to_tenuto(text).text == text.replace("import anthropic", "import tenuto as anthropic")


def test_client_with_messages_stays_if_it_may_be_one_of_two_packages() -> None:
    text = (
        "from anthropic import Anthropic\n"
        "from anthropic_bedrock import AnthropicBedrock\n"
        "def ask(first):\n"
        "    client = Anthropic() if first else AnthropicBedrock()\n"
        "    return client.messages.create()\n"
    )
    result = to_tenuto(text)
    assert [note.message for _, note in result.left] == ["Tenuto's client has no `messages`"]
    assert result.text == text


def test_module_that_is_passed_on_stays() -> None:
    text = "import anthropic\nfrom tracing import patch\npatch(anthropic)\n"
    result = to_tenuto(text)
    assert [note.code for _, note in result.left] == ["TC103"]
    assert result.text == text
