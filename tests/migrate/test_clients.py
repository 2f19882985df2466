"""The table of client libraries."""

from __future__ import annotations

import time

import pytest

from tenuto.migrate.clients import calls_of_clients
from tenuto.migrate.known_clients import CLIENTS, Client
from tenuto.migrate.languages import findings
from tests.migrate.corpus import programs

SOURCES = [(program.kind, program.text) for program in programs("scan")]
KNOWN = {client.old.pattern: (kind, client) for kind, of in CLIENTS.items() for client in of}


@pytest.mark.parametrize("pattern", KNOWN, ids=lambda pattern: KNOWN[pattern][1].word)
def test_corpus_has_a_program_for_each_library(pattern: str) -> None:
    _, client = KNOWN[pattern]
    kinds = {kind for kind, of in CLIENTS.items() if client in of}

    users = [text for kind, text in SOURCES if kind in kinds and _uses(client, text)]

    assert users


def _uses(client: Client, text: str) -> bool:
    return bool(client.word in text and client.imported.search(text) and client.old.search(text))


def test_call_is_found_once_by_its_field() -> None:
    text = (
        'import "github.com/liushuangls/go-anthropic/v2"\n'
        "client.CreateComplete(ctx, anthropic.CompleteRequest{\n"
        "Prompt: prompt,\n"
        "MaxTokensToSample: 9,\n"
        "})\n"
    )

    assert [finding.line for finding in findings(text, "main.go", "go")] == [4]


def test_remedy_names_no_method_of_another_library() -> None:
    text = 'import "github.com/liushuangls/go-anthropic/v2"\nclient.CreateComplete(ctx, request)\n'

    (finding,) = findings(text, "main.go", "go")

    assert finding.remedy == "the Messages API in this library, or in the official one of Anthropic"


def test_scan_takes_no_long_time_for_many_open_calls() -> None:
    text = 'import "github.com/dleviminzi/anthrogo"\n' + "c.CompletionRequest(c.Complete(" * 60_000
    start = time.process_time()

    found = list(calls_of_clients(text, "go"))

    assert len(found) == 1_000
    assert time.process_time() - start < 20
