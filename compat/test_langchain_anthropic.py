"""langchain-anthropic 0.3.10, with text completions in `AnthropicLLM`."""

from __future__ import annotations

import pytest

from compat.driver import Client
from compat.questions import ECHOED, TEXT
from tests.conftest import RunningServer

CLIENT = "langchain_anthropic_0_3_10"
ROW = "`langchain-anthropic` 0.3.10, `AnthropicLLM`"

# It puts the text into a turn, and begins the answer with " Sure, here you go:\n".


@pytest.mark.feature("plain")
def test_invoke_completes(client: Client, echo: RunningServer) -> None:
    assert client.run("plain", echo.url, text=TEXT)["text"] == ECHOED


@pytest.mark.feature("stream")
def test_stream_returns_chunks(client: Client, echo: RunningServer) -> None:
    chunks = client.run("stream", echo.url, text=TEXT)["chunks"]
    assert "".join(chunks) == ECHOED
    assert len(chunks) > len(TEXT.split()) - 1


@pytest.mark.feature("async")
def test_ainvoke_and_astream_complete(client: Client, echo: RunningServer) -> None:
    seen = client.run("asynchronous", echo.url, text=TEXT)
    assert seen["text"] == "".join(seen["chunks"]) == ECHOED


@pytest.mark.feature("all fields")
def test_stop_ends_the_text(client: Client, echo: RunningServer) -> None:
    seen = client.run("plain", echo.url, text=TEXT, stop=[" How"])
    assert seen["text"] == ECHOED.partition(" How")[0]


@pytest.mark.feature("errors")
def test_wrong_key_raises_authentication_error(client: Client, keyed: RunningServer) -> None:
    seen = client.run("error", keyed.url, text=TEXT, api_key="wrong")
    assert seen == {"class": "AuthenticationError", "status": 401}


@pytest.mark.feature("keys")
def test_key_is_accepted(client: Client, keyed: RunningServer, key: str) -> None:
    assert client.run("error", keyed.url, text=TEXT, api_key=key) == {"class": None}
