"""The responses of the old API that a source makes itself."""

from __future__ import annotations

import time

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
def test_scan_of_repeated_starts_is_fast(text: str) -> None:
    start = time.process_time()

    findings(f"// Claude\n{text}\n", "llm_test.go", "go")

    assert time.process_time() - start < 20
