"""The responses of the old API that a source makes itself."""

from __future__ import annotations

import pytest

from tenuto.migrate.doubles import is_test
from tenuto.migrate.languages import findings


@pytest.mark.parametrize(
    "path",
    [
        *("tests/llm.go", "src/__mocks__/claude.ts", "spec/cassettes/a.yml", "a/fixtures/x.rb"),
        *("llm_test.go", "joke.test.w", "test_llm.py", "ClaudeTest.java", "LlmTests.cs"),
    ],
)
def test_file_of_tests_is_known_by_its_folder_or_name(path: str) -> None:
    assert is_test(path)


@pytest.mark.parametrize(
    "path", ["src/latest/llm.go", "contest.py", "inspector.ts", "attestation/a.rb", "Latest.java"]
)
def test_file_with_a_similar_name_is_a_source(path: str) -> None:
    assert not is_test(path)


@pytest.mark.parametrize("text", ["\\" * 300_000, "{ " * 150_000, 'completion: "' * 40_000])
def test_repeated_starts_of_responses_are_none(text: str) -> None:
    # It would not end if the time grew with the square of the length.
    assert not findings(f"// Claude\n{text}\n", "llm_test.go", "go")


@pytest.mark.parametrize(("value", "found"), [("Paris", True), ("0.000075", False)])
def test_price_is_taken_for_no_response(value: str, found: bool) -> None:
    body = '\\"pricing\\":{\\"completion\\":\\"' + value + '\\"}'
    text = f'body: "{{\\"id\\":\\"anthropic/claude-2\\",{body}}}"\n'

    assert bool(findings(text, "tests/cassettes/list.yaml", "yaml")) is found


@pytest.mark.parametrize(("path", "found"), [("src/llm.go", False), ("src/llm_test.go", True)])
def test_json_with_a_text_alone_counts_in_a_test(path: str, found: bool) -> None:
    text = 'var claude = `{"completion": "Paris"}`\n'

    assert bool(findings(text, path, "go")) is found
