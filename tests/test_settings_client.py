"""Credentials of the environment, and the addresses that they may be sent to."""

from __future__ import annotations

import pytest

from tenuto.settings.client import client_environment, origin_of

KEYS = {"TENUTO_API_KEY": "ours", "ANTHROPIC_API_KEY": "theirs"}
THEIR_URL = "https://api.anthropic.com"


def test_client_environment_without_variables_is_empty() -> None:
    environment = client_environment({})
    credentials = environment.credentials()
    assert environment.base_url is None
    assert (credentials.api_key, credentials.auth_token) == (None, None)
    assert credentials.headers == {}


def test_an_empty_variable_counts_as_not_set() -> None:
    empty = {"TENUTO_API_KEY": "", "TENUTO_BASE_URL": " ", "TENUTO_CUSTOM_HEADERS": ""}
    environment = client_environment(empty)
    assert environment.base_url is None
    assert environment.credentials().api_key is None


def test_tenuto_base_url_takes_precedence() -> None:
    both = {"TENUTO_BASE_URL": "http://ours", "ANTHROPIC_BASE_URL": "http://theirs"}
    assert client_environment(both).base_url == "http://ours"


@pytest.mark.parametrize(
    ("addresses", "base_url", "key"),
    [
        # Nothing named: a server on this machine.
        ({}, None, "ours"),
        ({}, "http://127.0.0.1:8000", "ours"),
        ({}, "http://gpu.test:9000/", "ours"),
        ({"TENUTO_BASE_URL": "http://gpu.test"}, None, "ours"),
        ({"TENUTO_BASE_URL": "http://gpu.test"}, "http://other.test", "ours"),
        # The service's own address, and what only looks like it.
        ({}, THEIR_URL, "theirs"),
        ({}, "https://API.Anthropic.com:443/v1", "theirs"),
        ({"TENUTO_BASE_URL": THEIR_URL}, None, "theirs"),
        ({}, "http://api.anthropic.com", "ours"),
        ({}, "https://api.anthropic.com.evil.test", "ours"),
        ({}, "https://api.anthropic.com@evil.test", "ours"),
        ({}, "https://evil.test/api.anthropic.com", "ours"),
        # The address that its variable names.
        ({"ANTHROPIC_BASE_URL": "http://gateway.test"}, None, "theirs"),
        ({"ANTHROPIC_BASE_URL": "http://gateway.test"}, "http://other.test", "ours"),
        (
            {"ANTHROPIC_BASE_URL": "http://gateway.test", "TENUTO_BASE_URL": "http://gpu.test"},
            None,
            "ours",
        ),
    ],
)
def test_key_is_used_for_its_own_address_only(
    addresses: dict[str, str], base_url: str | None, key: str
) -> None:
    found = client_environment(KEYS | addresses).credentials(base_url)
    assert found.api_key == key
    other = "ANTHROPIC" if key == "ours" else "TENUTO"
    alone = {name: value for name, value in KEYS.items() if name.startswith(other)}
    assert client_environment(alone | addresses).credentials(base_url).api_key is None


def test_address_of_both_services_accepts_either_key() -> None:
    address = {"ANTHROPIC_BASE_URL": "http://gateway.test:80/api"}
    theirs = {"ANTHROPIC_API_KEY": "theirs"} | address
    assert client_environment(theirs).credentials("http://gateway.test").api_key == "theirs"
    assert client_environment(KEYS | address).credentials("http://gateway.test").api_key == "ours"


def test_tokens_and_headers_are_used_for_their_own_address_only() -> None:
    theirs = {"ANTHROPIC_AUTH_TOKEN": "token", "ANTHROPIC_CUSTOM_HEADERS": "x-key: secret"}
    there = client_environment(theirs).credentials(THEIR_URL)
    assert (there.auth_token, there.headers) == ("token", {"x-key": "secret"})
    assert there.sources["headers"] == "ANTHROPIC_CUSTOM_HEADERS"
    here = client_environment(theirs).credentials()
    assert (here.auth_token, here.headers) == (None, {})


def test_custom_headers_are_parsed_line_by_line() -> None:
    text = "x-team: search\nno header\n x-cost-centre :  a:b \n"
    headers = client_environment({"TENUTO_CUSTOM_HEADERS": text}).credentials().headers
    assert headers == {"x-team": "search", "x-cost-centre": "a:b"}


def test_no_secret_is_shown() -> None:
    environment = client_environment(KEYS | {"TENUTO_CUSTOM_HEADERS": "a: ours"})
    assert "ours" not in repr(environment) + repr(environment.credentials())


@pytest.mark.parametrize("url", ["", "http://", "http://[", "api.test", "http://a:b", "ftp://a"])
def test_url_without_an_origin_gets_no_key_of_the_service(url: str) -> None:
    assert origin_of(url) is None
    assert client_environment({"ANTHROPIC_API_KEY": "theirs"}).credentials(url).api_key is None
